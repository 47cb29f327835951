"""Recordings as people have them, without a failure to learn from: whatever is wrong with one is refused, or said.

Before the training, with the file, line and column where there is one.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.errors import ForewarnError
from trainer.config_file import read_config
from trainer.fit import prepare

pytestmark = pytest.mark.slow

MACHINES, N_ROWS, MINUTE, LEARNING = 9, 300, 60, 60
START_S = 1_700_000_000
STAGE = re.compile(r"\[\d+:\d\d\] ")
TOML = """
name = "plant"
version = "0.1.0"
heads = ["anomaly"]
[data]
dataset = "table"
rows = "*rows.csv"
channels = ["flow", "speed"]
{data}
[split]
fit = 4
calibrate = 4
play = 1
[model]
cadence = "1m"
dt_max = "10m"
[judge]
h_max = "1h"
h_min = "1m"
[anomaly]
learning = "1h"
ahead = 4
hidden = 4
steps = 1
batch = 4
"""


class Plant:
    """Rows of each machine as a list of lines, and the keys of [data]; written by `write`."""

    def __init__(self) -> None:
        self.rows = {f"m{number}": self._life(number) for number in range(MACHINES)}
        self.keys: list[str] = []
        self.files: dict[str, str] = {}
        self.of_other_clock: list[str] = []

    @staticmethod
    def _life(number: int) -> list[list[object]]:
        rng, row = np.random.default_rng(number), np.arange(N_ROWS)
        flow = np.sin(2 * np.pi * row / 20) + 0.2 * rng.normal(size=N_ROWS)
        speed = 50 + rng.normal(size=N_ROWS)
        times = START_S + MINUTE * row
        return [
            [t, f"{a:.4f}", f"{b:.4f}"] for t, a, b in zip(times.tolist(), flow.tolist(), speed.tolist(), strict=True)
        ]

    def log(self, key: str, header: str, *lines: tuple[object, ...]) -> None:
        """A file of labels; a number after the device is a row."""
        cells = [[str(START_S + MINUTE * one) if isinstance(one, int) else str(one) for one in line] for line in lines]
        self.files[f"{key}.csv"] = "\n".join([header, *(",".join(line) for line in cells)]) + "\n"
        self.keys.append(f'{key} = "{key}.csv"')

    def write(self, folder: Path) -> Path:
        lines = [",".join(map(str, [name, *row])) for name, rows in self.rows.items() for row in rows]
        (folder / "rows.csv").write_text("\n".join(["device,t,flow,speed", *lines]) + "\n")
        if self.of_other_clock:
            (folder / "zrows.csv").write_text("\n".join(["device,t,flow,speed", *self.of_other_clock]) + "\n")
        for name, text in self.files.items():
            (folder / name).write_text(text)
        (folder / "plant.toml").write_text(TOML.replace("{data}", "\n".join(self.keys)))
        return folder / "plant.toml"


Spoil = Callable[[Plant], None]


def too_short(plant: Plant) -> None:
    plant.rows = {name: rows[:70] for name, rows in plant.rows.items()}


def constant(plant: Plant) -> None:
    for row in (row for rows in plant.rows.values() for row in rows):
        row[2] = 50


def full_of_faults(plant: Plant) -> None:
    plant.log("faults", "device,start,end", *((name, 2, 299) for name in plant.rows))


def labels_all_outside(plant: Plant) -> None:
    plant.log("faults", "device,start,end", ("m1", 900, 910), ("m2", 1000, 1100))


def labels_partly_outside(plant: Plant) -> None:
    plant.log("faults", "device,start,end", ("m1", 100, 110), ("m2", 1000, 1100))


def failure_outside(plant: Plant) -> None:
    plant.log("failures", "device,t_fail", ("m1", 100_000))


def overlap(plant: Plant) -> None:
    plant.log("faults", "device,start,end", ("m1", 100, 130), ("m1", 120, 140))


def spoilt_cells(plant: Plant) -> None:
    for row in plant.rows["m1"][7::20]:
        row[1] = "Bad"


def spoilt_values(plant: Plant) -> None:
    """One row in twenty of each machine is what its converter gives at its end."""
    for rows in plant.rows.values():
        for row in rows[7::20]:
            row[1] = 65535


def fault_in_the_learning(plant: Plant) -> None:
    plant.log("faults", "device,start,end", ("m1", 20, 30))


def unlabelled_fault_in_the_learning(plant: Plant) -> None:
    for row in plant.rows["m1"][20:40]:
        row[2] = f"{float(str(row[2])) + 6:.4f}"


def no_duty_cycle(plant: Plant) -> None:
    """A machine that drifts through all of its recording."""
    for number, row in enumerate(plant.rows["m1"]):
        row[2] = f"{50 + 0.3 * number:.4f}"


def two_zones(plant: Plant) -> None:
    """A file with local times that say their offset, another with times that say none."""
    local = plant.rows.pop("m7"), plant.rows.pop("m8")
    text = np.datetime64(START_S, "s")
    plant.of_other_clock = [
        f"m{7 + index},{text + MINUTE * number},{row[1]},{row[2]}"
        for index, rows in enumerate(local)
        for number, row in enumerate(rows)
    ]
    for rows in plant.rows.values():
        for number, row in enumerate(rows):
            row[0] = f"{text + 7200 + MINUTE * number}+02:00"


REFUSED: dict[str, tuple[Spoil, str]] = {
    "a recording that is too short": (
        too_short,
        "anomaly.learning: part 'fit' of the split is too short: its longest life has 70 rows, the first 60 of each "
        "life are learnt from, and 40 normal ones come after that where 100 must\n"
        "  Record at least 15 rows more of each life",
    ),
    "full of faults": (full_of_faults, "data: part 'fit' of the split is full of faults: "),
    "all labels outside of the recording": (
        labels_all_outside,
        "faults.csv: line 2: of device 'm1' is outside of its rows (",
    ),
    "a failure far outside of the recording": (
        failure_outside,
        "failures.csv: line 2: device 'm1' fails at '1706000000', far from its last",
    ),
    "overlapping intervals": (overlap, "faults.csv: line 3: the fault of device 'm1' overlaps with that of line 2"),
    "one row in twenty is no number": (spoilt_cells, "rows.csv: line 309: column 'flow' is 'Bad', not a number"),
}
SAID: dict[str, tuple[Spoil, str]] = {
    "a constant channel": (
        constant,
        "channel 'speed' has one value in all rows of the fit devices: no chart looks at it",
    ),
    "a label outside of the recording": (
        labels_partly_outside,
        "faults.csv: 1 of 2 lines are left out; line 3: of device 'm2' is outside of its rows",
    ),
    "one row in twenty is at the end of its range": (
        spoilt_values,
        "rows.csv line 9: column 'flow' of device 'm0' is 65535, but half of all values lie within ",
    ),
    "a fault while a machine is learnt": (
        fault_in_the_learning,
        "device 'm1' has a labelled fault in the first 60 rows, which are learnt as normal",
    ),
    "a fault that nobody labelled while a machine is learnt": (
        unlabelled_fault_in_the_learning,
        "device 'm1' has learnt from unusual rows, far from those of the fit devices: was there a fault in the first "
        "60 rows? It counts as normal then",
    ),
    "a machine that never repeats its duty cycle": (
        no_duty_cycle,
        "device 'm1' has left what the first 60 rows showed",
    ),
    "clocks in several zones": (
        two_zones,
        "zrows.csv line 2: column 't' is '2023-11-14T22:13:20', without an offset: it is taken for UTC, but rows.csv "
        "line 2: column 't' is '2023-11-15T00:13:20+02:00'. Is that one clock?",
    ),
}


@pytest.mark.parametrize(("spoil", "words"), REFUSED.values(), ids=REFUSED)
def test_what_nothing_can_be_learnt_from_is_refused_before_the_training(
    spoil: Spoil, words: str, tmp_path: Path
) -> None:
    plant = Plant()
    spoil(plant)
    with pytest.raises(ForewarnError) as caught:
        prepare(read_config(plant.write(tmp_path)), tmp_path)
    assert words in str(caught.value).replace(f"{tmp_path}/", "")
    assert caught.value.next_step


@pytest.mark.parametrize(("spoil", "words"), SAID.values(), ids=SAID)
def test_what_is_doubtful_is_said_before_the_training(
    spoil: Spoil, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`prepare` is all that comes before it; of a plant that is in order it says nothing."""
    plant, folder = Plant(), tmp_path / "sound"
    folder.mkdir()
    prepare(read_config(plant.write(folder)), folder)
    assert doubts(capsys) == ""
    spoil(plant)
    prepare(read_config(plant.write(tmp_path)), tmp_path)
    assert words in doubts(capsys).replace(f"{tmp_path}/", "")


def doubts(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said, but for the stages of the work."""
    return "".join(line for line in capsys.readouterr().err.splitlines(keepends=True) if not STAGE.match(line))


def test_a_repair_before_any_failure_is_a_life_of_its_own_and_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant = Plant()
    plant.log("maintenance", "device,t", ("m1", 180))
    _, parts, _ = prepare(read_config(plant.write(tmp_path)), tmp_path)
    lives = [one for one in (*parts.fit, *parts.calibrate, *parts.play) if one.owner == "m1"]
    assert [(one.device, len(one.t_s), one.t_fail) for one in lives] == [("m1", 180, None), ("m1~2", 120, None)]
    assert doubts(capsys) == ""
