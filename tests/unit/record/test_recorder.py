"""What a recorder keeps of what the core gives: whose, of which day, how much, and what is told of the rest."""

import json
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import structlog

from agent import whole_file
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.record import recorder as recorder_module
from agent.record.recorder import Recorded, Recorder
from agent.sources import AlignRule, InterventionRule, Source, plain_channels
from agent.table.files import table_files

DAY_S = 86_400
START_S = 20_000 * DAY_S
PRESS = Source(
    name="press",
    topics=("press/{device}",),
    time_field="t",
    time_unit="s",
    channels=plain_channels("temp", "vib"),
    width=3,
)
FLOW = replace(PRESS, name="flow", topics=("flow/{device}",), channels=plain_channels("q"), joins="press", columns=(2,))
MILL = Source(
    name="mill", topics=("mill/{device}",), time_field="n", time_unit="cycle", channels=plain_channels("temp")
)
WORK = replace(
    MILL,
    name="work",
    topics=("work/{device}",),
    channels=(),
    joins="mill",
    interventions=InterventionRule("", (("done", "replaced"),)),
    codec="text",
    time_field="",
    time_unit="arrival",
)
OWNER_OF = {"press": "press", "flow": "press", "mill": "mill", "work": "mill"}


class Recording:
    """A core without models, and its recorder."""

    def __init__(self, folder: Path, *sources: Source, size_max: int = 2**40) -> None:
        self.core = Core(sources, (), Bounds(), keeps_rows=True)
        columns = {"press": ("temp", "vib", "flow"), "mill": ("temp",)}
        of = [
            Recorded(index, one.name, columns[one.name], one.time_unit == "cycle")
            for index, one in enumerate(sources)
            if not one.joins
        ]
        self.recorder = Recorder(of, folder, structlog.get_logger(), flush_every_s=10, size_max=size_max)

    def take(self, *messages: tuple[str, object], arrived_s: float = START_S) -> None:
        payloads = [text if isinstance(text, bytes) else json.dumps(text).encode() for _, text in messages]
        arrived = [round(arrived_s * 1e9)] * len(messages)
        self.recorder.hear(self.core.apply(Messages([topic for topic, _ in messages], payloads, arrived)), OWNER_OF)


def frames(folder: Path) -> dict[str, pl.DataFrame]:
    return {str(path.relative_to(folder)): pl.read_parquet(path) for path in sorted(folder.rglob("*.parquet"))}


def test_rows_go_to_their_source_and_their_utc_day(tmp_path):
    recording = Recording(tmp_path, PRESS, MILL)
    recording.take(
        ("press/p1", {"t": START_S - 1, "temp": 1, "vib": 0.5}),
        ("mill/m1", {"n": 7, "temp": 3}),
        ("press/p2", {"t": START_S - 0.5, "temp": 2}),
        ("press/p1", {"t": START_S, "temp": 4, "vib": None}),
    )
    recording.recorder.close()
    found = frames(tmp_path)
    assert [*found] == [
        "mill/2024-10-04.000001-000001.parquet",
        "press/2024-10-03.000001-000001.parquet",
        "press/2024-10-04.000001-000001.parquet",
    ]
    mill, before, after = found.values()
    assert mill.rows() == [("m1", 7.0, 3.0)]
    assert before.columns == ["device", "t", "temp", "vib", "flow"]
    assert before["t"].dtype == pl.Datetime("ns", "UTC")
    assert before["t"].dt.epoch("ns").to_list() == [(START_S - 1) * 10**9, START_S * 10**9 - 5 * 10**8]
    assert before.select("device", "temp", "vib", "flow").rows() == [("p1", 1, 0.5, None), ("p2", 2, None, None)]
    assert after.select("device", "temp", "vib").rows() == [("p1", 4, None)]
    assert recording.recorder.n_rows == {"press": 3, "mill": 1}
    assert recording.recorder.n_devices == {"press": 2, "mill": 1}


def test_a_source_that_joins_another_fills_columns_of_its_rows(tmp_path):
    align = AlignRule(max_age_s=100.0)
    recording = Recording(tmp_path, replace(PRESS, align=align), replace(FLOW, align=align))
    recording.take(("press/p1", {"t": START_S, "temp": 1, "vib": 2}), ("flow/p1", {"t": START_S + 1, "q": 9}))
    recording.recorder.close()
    (frame,) = frames(tmp_path).values()
    assert frame.drop("t").rows() == [("p1", 1, 2, None), ("p1", 1, 2, 9)]


def test_what_was_done_to_a_machine_is_in_a_table_of_its_own(tmp_path):
    recording = Recording(tmp_path, MILL, WORK)
    recording.take(("mill/m1", {"n": 7, "temp": 3}), ("work/m1", b"done"), ("mill/m1", {"n": 1, "temp": 3}))
    recording.recorder.flush(0)
    recording.take(("work/m1", b"done"), ("work/never heard/x", b"done"))
    recording.recorder.close()
    (mill,) = frames(tmp_path).values()
    assert mill["device"].to_list() == ["m1", "m1~2"], "its counter began anew"
    head, first, second = (tmp_path / "interventions.csv").read_text().splitlines()
    assert head == "device,t,kind,source"
    assert (first.split(",")[0], first.split(",")[2:]) == ("m1", ["replaced", "mill"])
    assert second.split(",")[0] == "m1~2"
    assert recording.recorder.labels.n_written == 2
    assert [one.path.suffix for one in table_files([str(tmp_path)], Path(), next_step="?")] == [".parquet"]


def test_beyond_its_size_the_oldest_file_goes_and_that_is_said(tmp_path):
    recording = Recording(tmp_path, PRESS, MILL, size_max=4000)
    with structlog.testing.capture_logs() as said:
        for day in range(6):
            recording.take(("press/p1", {"t": START_S + day * DAY_S, "temp": day}), arrived_s=START_S + day * DAY_S)
            recording.recorder.flush(day)
        recording.recorder.flush(6)
    removed = [one["file"] for one in said if one["event"] == "recording_removed"]
    assert removed[:2] == ["press/2024-10-04.000001-000001.parquet", "press/2024-10-05.000001-000001.parquet"]
    assert recording.recorder.size_bytes <= 4000
    assert [frame["temp"].to_list() for frame in frames(tmp_path).values()] == [[float(day)] for day in range(6)][
        len(removed) :
    ]


def full(path: Path, *_: bytes) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_what_cannot_be_written_waits_and_is_told_once(tmp_path, monkeypatch):
    recording = Recording(tmp_path, PRESS)
    with structlog.testing.capture_logs() as said:
        with monkeypatch.context() as patch:
            patch.setattr(whole_file, "write", full)
            for second in range(3):
                recording.take(("press/p1", {"t": START_S + second, "temp": second}))
                recording.recorder.flush(second)
                assert "No space left" in recording.recorder.what_failed
        recording.recorder.flush(4)
    assert [one["event"] for one in said] == ["recording_not_written", "recording_written_again"]
    recording.recorder.close()
    (frame,) = frames(tmp_path).values()
    assert frame["temp"].to_list() == [0, 1, 2]
    assert recording.recorder.left_out == {}


def test_what_waits_has_a_bound_and_the_oldest_rows_are_given_up_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder_module, "WAITING_BYTES_MAX", 5000)
    recording = Recording(tmp_path, PRESS)
    with monkeypatch.context() as patch, structlog.testing.capture_logs() as said:
        patch.setattr(whole_file, "write", full)
        for second in range(200):
            recording.take(("press/p1", {"t": START_S + second, "temp": second}))
            recording.recorder.turn(time.monotonic())
            assert sum(one.waiting_bytes for one in recording.recorder._writers.values()) <= 5000
        recording.recorder.flush(time.monotonic())
    lost = recording.recorder.left_out["press"]["disk_full"]
    assert {
        "event": "rows_left_out",
        "source": "press",
        "why": "disk_full",
        "count": lost,
        "log_level": "warning",
    } in said
    recording.recorder.close()
    kept = [value for frame in frames(tmp_path).values() for value in frame["temp"].to_list()]
    assert kept == [*range(lost, 200)]


@pytest.mark.parametrize(("bytes_max", "n_files"), [(10, 1), (10_000, 0)])
def test_much_that_waits_is_written_before_it_is_due(tmp_path, monkeypatch, bytes_max, n_files):
    monkeypatch.setattr(recorder_module, "WAITING_BYTES_MAX", bytes_max)
    recording = Recording(tmp_path, PRESS)
    recording.take(("press/p1", {"t": START_S, "temp": 1}))
    recording.recorder.turn(time.monotonic())
    assert len(frames(tmp_path)) == n_files


def test_a_name_that_no_reader_would_take_is_left_out_and_said(tmp_path):
    recording = Recording(tmp_path, replace(PRESS, topics=("press/{a}/{b}",), device="{a}/{b}"))
    long = "press/" + "x" * 60 + "/" + "%" * 60
    recording.take((long, {"t": START_S, "temp": 1}), ("press/a/b", {"t": START_S, "temp": 2}))
    recording.recorder.close()
    (frame,) = frames(tmp_path).values()
    assert frame["device"].to_list() == ["a%2Fb"]
    assert recording.recorder.left_out == {"press": {"device_name": 1}}


def test_started_again_it_leaves_out_what_it_has_and_goes_on(tmp_path):
    for first in (0, 2, 3):
        recording = Recording(tmp_path, PRESS)
        recording.take(*(("press/p1", {"t": START_S + second, "temp": second}) for second in range(first, first + 3)))
        recording.recorder.close()
    (frame,) = frames(tmp_path).values()
    assert frame["temp"].to_list() == [0, 1, 2, 3, 4, 5]
    assert recording.recorder.left_out == {"press": {"recorded_before": 2}}


def test_when_a_day_is_over_its_files_become_one(tmp_path):
    """Ten minutes after its last row; those of today are left to grow."""
    today_s = int(time.time()) // DAY_S * DAY_S
    recording = Recording(tmp_path, PRESS)
    for second in range(2):
        for begin_s in (START_S, today_s):
            row = ("press/" + str(begin_s), {"t": begin_s + second, "temp": second})
            recording.take(row, arrived_s=begin_s + second)
        recording.recorder.flush(second)
    recording.recorder.flush(600)
    assert recording.recorder.n_files == 4
    recording.recorder.flush(601)
    assert [name.split(".", 1)[1] for name in frames(tmp_path)] == [
        "000001-000002.parquet",
        "000001-000001.parquet",
        "000002-000002.parquet",
    ]
