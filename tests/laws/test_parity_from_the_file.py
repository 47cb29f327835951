"""Law 1 begins at the file: a cell means the same to `forewarn-train fit` and to `forewarn replay`, and in a payload to
the agent. Equal rows to the bit.
"""

import json
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from agent.bundle import file
from agent.bundle.manifest import Channel, Manifest
from agent.config.load import load
from agent.config.plan import build, plan
from agent.core.entries import Messages
from agent.decode.intake import Intake
from agent.decode.readings import Readings
from agent.replay.recorded import Layout, read_recorded
from tests.bundles import write_small_bundle
from tests.configurations import SOURCE, VALID, write_configuration
from tests.small_bundle import CHANNELS, small_manifest
from trainer.data.table import Table, read_table

NAN = np.nan
HEADER = ["machine", "Zeit", "T 1", "load", "wear", "remark"]
CELLS: list[list[str | float | bool | None]] = [
    ["p1", "2026-07-15T12:00:00", 55.1, "ON", True, "x"],
    ["p1", "2026-07-15T12:00:10.5", -9999, "OFF", False, None],
    ["p2", "2026-07-15 12:00:00", 0.1, "Bad", 1.5, "a, b"],
    ["p1", "20260715T120020", None, "I/O Timeout", 2, None],
    ["p1", "2026-07-15T10:00:30.123456789Z", "NA", 0.75, None, None],
    ["p2", "2026-10-25T02:30:00+01", 16777217, "ON", 1e-9, None],
    ["p2", "2026-10-26", -9999.0, None, True, None],
]
DATA = {
    "dataset": "table",
    "rows": "rows.csv",
    "device": "machine",
    "time": "Zeit",
    "zone": "Europe/Berlin",
    "channels": CHANNELS,
    "columns": {
        "temp": {"column": "T 1", "unit": "degC", "missing": [-9999, "NA"]},
        "load": {"words": {"ON": 1, "OFF": 0}},
    },
    "missing": ["Bad", "I/O Timeout"],
    "outliers": "keep",
    "run_to_failure": True,
}
SOURCE_OF_CELLS = """
budget = "1 per device per 30d"

[[source]]
name = "press"
topic = "plant/{device}"
time = { field = "Zeit", unit = "iso8601", zone = "Europe/Berlin" }
report_extra = false
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The cells as CSV and as Parquet, where a column is of texts since some of its cells are."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in CELLS]
    lines = [HEADER, *([f'"{cell}"' for cell in row] for row in texts)]
    (tmp_path / "rows.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    frame = pl.DataFrame({name: [row[at] or None for row in texts] for at, name in enumerate(HEADER)})
    frame.write_parquet(tmp_path / "rows.parquet")
    return tmp_path


def manifest_of(table: Table) -> Manifest:
    """The small one as `fit` would write it of this table."""
    infos = table.channel_info(CHANNELS)
    channels = tuple(
        Channel(
            info.name, info.unit, "", -2.0, 3.0, may_be_missing=True, missing=info.missing, words=info.words,
            missing_words=info.missing_words, column=info.column,
        )
        for info in infos
    )  # fmt: skip
    return msgspec.structs.replace(small_manifest(), time_unit="s", channels=channels)


def rows_of(readings: Readings) -> dict[str, tuple[list[int], bytes]]:
    return {
        name: (readings.t_ns[at].tolist(), readings.x[at].tobytes())
        for name in ("p1", "p2")
        for at in [np.flatnonzero(readings.device == name)]
    }


def test_a_cell_means_the_same_to_fit_replay_and_the_agent(folder: Path) -> None:
    table = Table.model_validate(DATA)
    manifest = manifest_of(table)
    fitted = {one.device: (one.t_ns.tolist(), one.x.tobytes()) for one in read_table(table, CHANNELS, folder)}
    layout = Layout("machine", "Zeit", zone="Europe/Berlin")
    for name in ("rows.csv", "rows.parquet"):
        recordings = read_recorded([str(folder / name)], manifest, layout)
        assert {one.device: (one.t_ns.tolist(), one.x.tobytes()) for one in recordings.devices} == fitted
    assert fitted["p1"][1] == np.float32([[55.1, 1, 1], [NAN, 0, 0], [NAN, NAN, 2], [NAN, 0.75, NAN]]).tobytes()
    assert fitted["p2"][1] == np.float32([[0.1, NAN, 1.5], [16777217, 1, 1e-9], [NAN, NAN, 1]]).tobytes()

    write_small_bundle(folder / "small.fwb", manifest)
    settings = load(write_configuration(folder, VALID + SOURCE_OF_CELLS), {})
    (source,) = plan(settings, {"main": file.read(folder / "small.fwb")}).sources
    intake = Intake([source], payload_bytes_max=10_000, device_id_bytes_max=100)
    payloads = [json.dumps(dict(zip(HEADER, row, strict=True))).encode() for row in CELLS]
    readings = intake.read([f"plant/{row[0]}" for row in CELLS], payloads, np.zeros(len(CELLS), np.int64))
    assert rows_of(readings) == fitted


def test_a_code_that_training_knew_as_missing_is_missing_live(tmp_path: Path) -> None:
    """Case S7: -9999 equals null in every later score of the device."""
    first, load_, *rest = small_manifest().channels
    mapped = msgspec.structs.replace(load_, missing=(-9999.0,))
    write_small_bundle(
        tmp_path / "small.fwb", msgspec.structs.replace(small_manifest(), channels=(first, mapped, *rest))
    )
    settings = load(write_configuration(tmp_path, VALID + SOURCE), {})
    planned = plan(settings, {"main": file.read(tmp_path / "small.fwb")})

    def scores(cell: str) -> bytes:
        cells = ["0.5"] * 10 + [cell] * 3 + ["0.5"] * 10
        payloads = [
            f'{{"cycle": {cycle}, "temp": 0, "load": {cell}, "wear": 0.1}}'.encode()
            for cycle, cell in enumerate(cells, 1)
        ]
        taken = build(settings, planned).apply(Messages(["plant/p1/cycle"] * 23, payloads, [10**9] * 23))
        return b"".join(
            column.tobytes() for part in taken.scores for column in (part.quality, *part.outputs.values(), part.t_ns)
        )

    assert scores("-9999") == scores("-9999.0") == scores("null")
    assert scores("-9998") != scores("null")
