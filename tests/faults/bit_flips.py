"""Flip one bit of a state directory that a killed agent has left, start on it, and hold what follows against a twin.

    python -m tests.faults.bit_flips --flips 1000 --seed 0

The flips are shared among snapshots, journal and alert table, in both ways to keep the state. Whatever was flipped: the
start goes well, or refuses by name; a device's first row is `ok` only where its twin's score is the same; no alert is
raised on a row whose twin has none; and where the table was left alone, what stood still stands under its id.
"""

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from pathlib import Path

from agent.errors import StateRefused
from agent.store.outbox import ALERT_TABLE
from agent.words import Quality, Taken
from tests.journal_lives import Life
from tests.streams import core, interleaved, life, take

STREAM = interleaved(life("ill", 90), life("well", 90, wear_from=1000, seed=1))
KILLED, SNAPSHOTS = 120, (40, 80)
NEWEST = f"snapshot-{len(SNAPSHOTS):012d}"
READ_ONLY = (18, 19)  # of SQLite's header: they make a database read-only, as the rights of its file do
Scored = dict[tuple[str, int], tuple[int, bytes]]


def scores_of(taken: Taken) -> Scored:
    """Quality and risk by device and time."""
    (scores,) = taken.scores
    keys = zip(scores.device.tolist(), scores.t_ns.tolist(), strict=True)
    values = zip(scores.quality.tolist(), map(bytes, scores.outputs["risk"]), strict=True)
    return dict(zip(keys, values, strict=True))


def twin() -> tuple[Scored, set[int]]:
    """Scores of a core that is left in peace, and the times at which it has an alert of `ill`."""
    taken = take(core(), STREAM)
    raised = {event.t_ns for event in taken.alerts if event.state != "normal"}
    return scores_of(taken), set(range(min(raised), STREAM_END_NS + 1, 10**9))


STREAM_END_NS = 90 * 10**9


def killed(folder: Path, mode: str) -> list[str]:
    """A state directory with two snapshots, a journal where there is one, and a standing alert; ids of what stands."""
    process = Life(folder, mode=mode)
    start = 0
    for index, end in enumerate((*SNAPSHOTS, KILLED)):
        process.take(STREAM[start:end])
        if end != KILLED:
            process.durability.after_turn(100.0 * (index + 1), 10.0)
        start = end
    standing = [event.alert for event in process.outbox.standing()]
    process.die()
    return standing


class Flips:
    """What came of flips in one mode; `said` are the breaches, one line each."""

    def __init__(self, mode: str, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.said: list[str] = []
        self._mode = mode
        self._rng = random.Random(f"{mode} {seed}")
        self._scores, self._alerted_ns = twin()

    def run(self, n_flips: int) -> None:
        with tempfile.TemporaryDirectory() as name:
            good, spoilt = Path(name) / "good", Path(name) / "spoilt"
            good.mkdir()
            standing = killed(good, self._mode)
            kinds = ("snapshot-*", "journal-*", ALERT_TABLE) if self._mode == "journal" else ("snapshot-*", ALERT_TABLE)
            for number in range(n_flips):
                shutil.rmtree(spoilt, ignore_errors=True)
                shutil.copytree(good, spoilt)
                path = self._rng.choice(sorted(spoilt.glob(kinds[number % len(kinds)])))
                what = self._flip(path)
                self._start(spoilt, path.name, what, standing)

    def _flip(self, path: Path) -> str:
        data = bytearray(path.read_bytes())
        is_table = path.name == ALERT_TABLE
        places = [place for place, byte in enumerate(data) if not is_table or (byte and place not in READ_ONLY)]
        place, bit = self._rng.choice(places), self._rng.randrange(8)
        data[place] ^= 1 << bit
        path.write_bytes(data)
        return f"{self._mode}: {path.name} byte {place} bit {bit}"

    def _start(self, folder: Path, name: str, what: str, standing: list[str]) -> None:
        kind = name.partition("-")[0]
        try:
            process = Life(folder, mode=self._mode)
        except StateRefused:
            self.counts[f"{self._mode} {kind}: start refused by name"] += 1
            return
        except sqlite3.Error as error:
            self.said.append(f"{what}: the start ends with {error}")
            return
        events = set(process.said())
        if any(".corrupt-" in path.name for path in folder.iterdir()) or process.outbox.aside is not None:
            self.counts[f"{self._mode} {kind}: set aside and said"] += 1
        else:
            self.counts[f"{self._mode} {kind}: used"] += 1
        if kind != "alerts.db" and [event.alert for event in process.outbox.standing()] != standing:
            self.said.append(f"{what}: another alert stands")
        if name == NEWEST and not events & {"snapshot_set_aside", "history_lost"}:
            self.said.append(f"{what}: nobody noticed")
        taken = process.take(STREAM[KILLED:])
        scores = scores_of(taken)
        first = {device: min(t_ns for one, t_ns in scores if one == device) for device, _ in scores}
        for key in first.items():
            quality, risk = scores[key]
            if quality == Quality.OK and risk != self._scores[key][1]:
                self.said.append(f"{what}: ok at once on {key}, where the twin's score is another")
        for event in taken.alerts:
            is_of_twin = event.device == "ill" and event.t_ns in self._alerted_ns
            if event.kind == "raised" and not is_of_twin:
                self.said.append(f"{what}: raised on {event.device} at {event.t_ns}, and the twin has no alert")
        process.die()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    said, lines = [], []
    for mode in ("snapshot", "journal"):
        flips = Flips(mode, chosen.seed)
        flips.run(chosen.flips // 2)
        said += flips.said
        lines += [f"{name:<48}{count:>6,}" for name, count in sorted(flips.counts.items())]
    sys.stdout.write("\n".join([*lines, f"{'BROKEN':<48}{len(said):>6,}", *said, ""]))
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
