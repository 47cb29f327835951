"""How long a snapshot holds up the stream, how long it takes in all, and what it writes.

    python -m bench.snapshot [--json FILE] [--devices 1000 10000 100000] [--hidden 64] [--folder FOLDER]

Untrained int8 layers, two of the given width, every device with its state. While a snapshot is made, the stream goes
on with rows of 256 devices a turn. Stall: the longest time that the snapshot took of one turn, and the longest CPU
time, which other processes do not lengthen. Beside it stands how long a turn would be that made the whole snapshot: its
bytes, their checksum and the write.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from agent.bundle import file as bundle_file
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.core.model import Model
from agent.sources import Source, plain_channels
from agent.step.engine import Engine
from agent.store import snapshot
from agent.store.disk import StateFolder
from agent.store.snapshot_writer import SnapshotWriter, in_thread
from agent.words import MAIN_MODEL
from bench import result, untrained

ROWS_A_TURN = 256
ROUNDS = 5
NAP_S = 0.01  # of a turn
NOW_S = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Of one size of fleet, over ROUNDS: times in ms, `mb` in 10^6 bytes; medians, and the worst of all."""

    devices: int
    mb: float
    at_once_ms: float
    stall_ms: float
    stall_max_ms: float
    stall_cpu_ms: float
    stall_cpu_max_ms: float
    whole_ms: float
    turns: int


def empty_core(bundle: Path, devices_max: int) -> Core:
    """One source and one model, and no device yet."""
    read = bundle_file.read(bundle)
    names = [channel.name for channel in read.manifest.inputs]
    source = Source("pump", ("plant/{device}",), "t", "s", plain_channels(*names))
    thresholds = dict.fromkeys(read.manifest.judging, 0.5)
    columns = tuple(range(len(names)))
    model = Model(MAIN_MODEL, read, Engine(read.model, read.manifest), thresholds, (0,), (columns,))
    return Core((source,), (model,), Bounds(devices_max=devices_max))


class Fleet:
    """A core of one source and one model, in which every device has a state."""

    def __init__(self, bundle: Path, n_devices: int) -> None:
        self.core = empty_core(bundle, n_devices)
        names = self.core.sources[0].fields
        self._topics = [f"plant/pump-{number:06d}" for number in range(n_devices)]
        self._row = dict.fromkeys(names, 0.5)
        self._now_s = NOW_S
        for first in range(0, n_devices, ROWS_A_TURN):
            self.step(first)

    def step(self, first: int) -> None:
        """Another row of ROWS_A_TURN devices, from number `first` on."""
        self._now_s += 1
        topics = self._topics[first : first + ROWS_A_TURN]
        payload = json.dumps({"t": self._now_s, **self._row}).encode()
        self.core.apply(Messages(topics, [payload] * len(topics), [self._now_s * 10**9] * len(topics)))

    def at_once_s(self, folder: Path) -> float:
        """A turn that makes and writes the whole snapshot."""
        start_s = time.perf_counter()
        snapshot.write(StateFolder(folder), self.core.snapshot())
        return time.perf_counter() - start_s

    def beside_the_stream(self, folder: Path) -> tuple[list[tuple[float, float]], float, int]:
        """Seconds and CPU seconds that the snapshot took of each turn, from its beginning to its end, and its bytes."""
        writer = SnapshotWriter(StateFolder(folder), self.core, in_thread())
        spans_s: list[tuple[float, float]] = []
        begun_s, written = time.perf_counter(), None
        while written is None:
            start_s, start_cpu_s = time.perf_counter(), time.thread_time()
            if not writer.is_busy:
                writer.begin()
            written = writer.turn()
            spans_s.append((time.perf_counter() - start_s, time.thread_time() - start_cpu_s))
            self.step(len(spans_s) * ROWS_A_TURN % len(self._topics))
            time.sleep(NAP_S)
        return spans_s, time.perf_counter() - begun_s, written.size_bytes


def measured(bundle: Path, n_devices: int, folder: Path) -> Snapshots:
    fleet = Fleet(bundle, n_devices)
    at_once, stalls, cpu, wholes, turns, size = [], [], [], [], [], 0
    for _ in range(ROUNDS):
        at_once.append(fleet.at_once_s(folder))
        spans_s, whole_s, size = fleet.beside_the_stream(folder)
        stalls.append(max(wall_s for wall_s, _ in spans_s))
        cpu.append(max(cpu_s for _, cpu_s in spans_s))
        wholes.append(whole_s)
        turns.append(len(spans_s))
    times_s = (median(at_once), median(stalls), max(stalls), median(cpu), max(cpu), median(wholes))
    return Snapshots(n_devices, round(size / 1e6, 1), *(round(one * 1e3, 1) for one in times_s), round(median(turns)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE too")
    parser.add_argument("--devices", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--hidden", type=int, default=64, help="width of each layer (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="on the disk that is meant (default: the temporary folder)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        bundle = untrained.write(Path(name) / "untrained.fwb", hidden=chosen.hidden)
        rows = [asdict(measured(bundle, n_devices, Path(name))) for n_devices in chosen.devices]
    result.write(chosen.json, "snapshot", rows)
    headings = ("devices", "MB", "at once, ms", "stall, ms", "worst", "stall, CPU ms", "worst", "whole, ms", "turns")
    print(result.markdown(headings, [[f"{value:,}" for value in row.values()] for row in rows]))


if __name__ == "__main__":
    main()
