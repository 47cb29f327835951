"""`forewarn-train fit FOLDER`: a configuration out of what `forewarn record` wrote."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agent.errors import DataRefused
from agent.table.parquet_file import packed
from trainer.cli import cli
from trainer.config_file import read_config
from trainer.data.dataset import histories_of
from trainer.data.runs import Runs
from trainer.recorded import in_words, read_recording, toml_of

START_S = 1_700_000_000


def record(
    folder: Path,
    machines: int = 2,
    rows: int = 600,
    *,
    cycles: bool = False,
    source: str = "pumps",
    events: Sequence[str] = (),
    running: Sequence[int] = (),
) -> Path:
    """A folder as `forewarn record` leaves it: rows each 10 s of flow and speed, and a channel that stands still.

    events   channels that count them; of the first one there is one a machine, of the others none
    running  rows from which machines stand for ten rows, as the channel of this name says
    """
    (folder / source).mkdir(parents=True)
    for machine in range(machines):
        rng = np.random.default_rng(machine)
        t = np.arange(rows, dtype=np.int64)
        time = t.astype(np.float64) + 1 if cycles else (START_S + 10 * t) * 10**9
        flow, speed = rng.normal(size=(2, rows)).astype(np.float32)
        channels = {"flow": flow, "speed": speed, "still": np.ones(rows, np.float32)}
        if running:
            is_off = np.isin(t, [first + row for first in running for row in range(10)])
            flow[is_off] = speed[is_off] = -20
            channels["running"] = np.where(is_off, 0, 1).astype(np.float32)
        channels |= {name: np.zeros(rows, np.float32) for name in events}
        for name in events[:1]:
            channels[name][rows // 2] = 1
        content = packed([f"p{machine}"] * rows, time, channels, events)
        (folder / source / f"2026-11-{machine + 1:02}.000001-000002.parquet").write_bytes(content)
    return folder


def test_a_recording_says_its_cadence_channels_and_machines(tmp_path: Path) -> None:
    found = read_recording(record(tmp_path / "r", machines=8))
    assert (found.channels, found.still) == (("flow", "speed"), ("still",))
    assert (found.cadence_s, found.dt_max_s, found.n_rows) == (10, 100, (600,) * 8)
    assert in_words(found) == (
        "4,800 rows of 8 machine(s), a row every 10s\n"
        "learns from 2 channel(s): flow, speed\n"
        "left out, since they hardly vary: still\n"
        "labels: none, and none is needed: warnings come of what is unusual for a machine\n"
        "learns each machine's own normal from 10m: for a day of it, record 10 days"
    )


def test_counts_of_events_are_inputs_of_their_own(tmp_path: Path) -> None:
    """However few they are, and whatever hardly varies else is left out; what never happened is, too."""
    found = read_recording(record(tmp_path / "r", machines=8, events=("error1", "error2")))
    assert (found.channels, found.still, found.events) == (
        ("flow", "speed", "error1"),
        ("still", "error2"),
        ("error1",),
    )
    assert "counts of events among them: error1\nleft out, since they hardly vary: still, error2" in in_words(found)
    (tmp_path / "fit.toml").write_text(toml_of(found, "r"))
    data = read_config(tmp_path / "fit.toml").data
    assert [info.event for info in data.channel_info(data.channels)] == [False, False, True]
    assert read_recording(tmp_path / "r", ["flow"]).events == ()
    with pytest.raises(DataRefused, match="no channel varies"):
        read_recording(tmp_path / "r", ["error1"])


@pytest.mark.parametrize("machines", [1, 3, 8])
@pytest.mark.parametrize("cycles", [False, True])
def test_the_made_configuration_is_one_that_fit_takes(tmp_path: Path, machines: int, cycles: bool) -> None:
    found = read_recording(record(tmp_path / "r", machines, cycles=cycles), ["flow"])
    (tmp_path / "fit.toml").write_text(toml_of(found, "My Recording!"))
    config = read_config(tmp_path / "fit.toml")
    assert (config.name, config.data.channels, config.heads) == ("my-recording", ("flow",), ("anomaly",))
    assert config.split.by == ("machine" if machines == 8 else "time")
    assert config.data.counts == ("cycle" if cycles else "s")
    assert [len(one.t_s) for one in histories_of(config, tmp_path)] == [600] * machines


def test_half_of_the_machines_vouch_for_a_budget_where_no_label_does(tmp_path: Path) -> None:
    toml = toml_of(read_recording(record(tmp_path / "r", machines=12, rows=100)), "r")
    assert "fit = 4\ncalibrate = 6\nplay = 2" in toml


@pytest.mark.parametrize(("n_rows", "learning"), [(600, '"10m"'), (86_000, '"1d"'), (500_000, '"1d"')])
def test_a_machine_is_learnt_for_a_day_where_the_recording_allows(tmp_path: Path, n_rows: int, learning: str) -> None:
    found = replace(read_recording(record(tmp_path / "r", machines=8)), n_rows=(n_rows,) * 8)
    assert f"learning = {learning} " in toml_of(found, "r")
    assert ("for a day of it, record 10 days" in in_words(found)) == (learning != '"1d"')
    assert "learning = 400 " in toml_of(replace(found, counts_cycles=True, cadence_s=1.0, n_rows=(9000,) * 8), "r")


@pytest.mark.parametrize(("stops", "is_planned"), [((100, 250, 420), True), ((250,), False)])
def test_machines_that_stop_say_so_and_rows_of_stops_are_left_out(
    tmp_path: Path, stops: Sequence[int], is_planned: bool
) -> None:
    """Stops of 100 s, by a channel that is on or off and no input; those that do not come again are asked about."""
    folder = record(tmp_path / "r", machines=4, running=stops)
    found = read_recording(folder)
    assert (found.channels, found.still) == (("flow", "speed"), ("still", "running"))
    toml = toml_of(found, "r")
    (tmp_path / "fit.toml").write_text(toml)
    config = read_config(tmp_path / "fit.toml")
    n_stops = 4 * len(stops)
    if is_planned:
        assert f"{n_stops} stop(s) of 4 of 4 machine(s) by running: left out" in in_words(found)
        assert config.runs == Runs(channel="running", above=0.5, after=0)
        assert [len(one.t_s) for one in histories_of(config, tmp_path)] == [570] * 4
    else:
        assert f"{n_stops} stop(s) of 4 of 4 machine(s) by running: were they planned?" in in_words(found)
        assert "# [runs]    # rows of" in toml
        assert config.runs is None
        (tmp_path / "fit.toml").write_text(toml.replace("# [runs]", "[runs]").replace("# channel", "channel"))
        assert read_config(tmp_path / "fit.toml").runs == Runs(channel="running")


def test_labels_beside_the_rows_are_read(tmp_path: Path) -> None:
    folder = record(tmp_path / "r", machines=9)
    (folder / "interventions.csv").write_text("device,t,kind,source\np0,2023-11-14T22:33:20Z,repaired,pumps\n")
    failures = [f"p{machine},{START_S + 6_000}" for machine in range(7)]
    (folder / "failures.csv").write_text("\n".join(["device,t_fail", *failures, "p7,"]) + "\n")
    found = read_recording(folder)
    assert (found.heads, found.n_failed) == (("risk", "anomaly"), 7)
    (tmp_path / "fit.toml").write_text(toml_of(found, "r"))
    histories = histories_of(read_config(tmp_path / "fit.toml"), tmp_path)
    assert sum(one.failed for one in histories) == 7
    assert len(histories) == 10  # p0 was repaired
    few = folder / "failures.csv"
    few.write_text("\n".join(["device,t_fail", *failures[:2]]) + "\n")
    assert "2 machine(s) failed: too few to learn from, 6 are needed" in in_words(read_recording(folder))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder.mkdir(), r"holds no rows that forewarn record wrote"),
        (lambda folder: record(record(folder), source="other"), r"rows of 2 sources.+\n  Give one of .+other, .+pumps"),
        (lambda folder: record(folder, rows=1), r"has one row of each device\n  Record for longer"),
    ],
)
def test_a_folder_without_a_recording_is_refused(tmp_path: Path, make, says: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "r")
    with pytest.raises(DataRefused, match=says):
        read_recording(tmp_path / "r")


def test_an_unknown_channel_is_refused_with_those_there_are(tmp_path: Path) -> None:
    arguments = ["fit", str(record(tmp_path / "r")), "--channels", "flow,sped", "--out", str(tmp_path / "out")]
    ended = CliRunner().invoke(cli, arguments)
    assert "--channels: no channel 'sped'\n  There are: flow, speed, still" in str(ended.exception)
    assert not (tmp_path / "out").exists()


def test_a_refused_fit_of_a_recording_leaves_nothing_behind(tmp_path: Path) -> None:
    """One that lay there stays as it was."""
    folder, out = record(tmp_path / "r"), tmp_path / "out"
    arguments = ["fit", str(folder), "--out", str(out), "--set", 'model.cadence="30s"']
    assert "model.cadence" in str(CliRunner().invoke(cli, arguments).exception)
    assert not out.exists()
    out.mkdir()
    (out / "fit.toml").write_text("of an earlier run")
    CliRunner().invoke(cli, arguments)
    assert (out / "fit.toml").read_text() == "of an earlier run"


def test_spans_that_are_ours_to_choose_are_whole_units(tmp_path: Path) -> None:
    """6,000 rows each 300 s would give horizons such as 13125s; a cadence stays what it is."""
    found = replace(read_recording(record(tmp_path / "r")), cadence_s=300.0, dt_max_s=3_000.0, n_rows=(5_834,))
    assert [found.about(span_s) for span_s in (13_125, 52_500, 120_000, 250_000, 90)] == [
        '"4h"',
        '"15h"',
        '"33h"',
        '"3d"',
        '"90s"',
    ]
    assert all(
        line in toml_of(found, "r") for line in ('horizons = ["4h", "7h", "15h"]', 'h_min = "5m"', 'cap = "29h"')
    )
