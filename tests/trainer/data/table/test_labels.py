"""Labels as people have them: several failures, intervals, a 0/1 column, repairs, error logs, none (T6)."""

from pathlib import Path

import numpy as np
import pytest

from agent.errors import DataRefused
from agent.table.lives.logs import Maintenance
from trainer.data.history import History
from trainer.data.table import Table, read_table, write_table

HOUR = 3600
ROWS = "".join(f"{device},{HOUR * hour},{hour}\n" for device in ("p1", "p2") for hour in range(100, 160))


def read(folder: Path, rows: str = ROWS, **keys: object) -> list[History]:
    """Two machines with a row an hour, from hour 100 to 159, whose channel is the hour; hours are the times of logs."""
    (folder / "rows.csv").write_text(rows if rows.startswith("device") else f"device,t,x\n{rows}")
    of = Table.model_validate({"dataset": "table", "rows": "rows.csv", "channels": ["x"]} | keys)
    return read_table(of, of.channels, folder)


def log(folder: Path, header: str, *lines: tuple[object, ...], name: str = "log.csv") -> str:
    """A number is an hour."""
    cells = [[str(HOUR * cell) if isinstance(cell, int | float) else str(cell) for cell in line] for line in lines]
    (folder / name).write_text("\n".join([header, *map(",".join, cells)]) + "\n")
    return name


def told(lives: list[History]) -> list[tuple[str, str, int, int, float | None]]:
    """Device, machine, first and last hour, hour of the failure."""
    return [
        (one.device, one.owner, int(one.x[0, 0]), int(one.x[-1, 0]), one.t_fail and one.t_fail / HOUR) for one in lives
    ]


def faults(lives: list[History]) -> dict[str, list[list[float]]]:
    return {one.device: (one.faults / HOUR).tolist() for one in lives if len(one.faults)}


def test_no_label_at_all(tmp_path):
    assert told(read(tmp_path)) == [("p1", "p1", 100, 159, None), ("p2", "p2", 100, 159, None)]


def test_several_failures_of_a_machine_are_several_lives(tmp_path):
    failures = log(tmp_path, "device,t_fail", ("p1", 119.5), ("p1", 140), ("p2", 170), ("p1", ""))
    assert told(read(tmp_path, failures=failures)) == [
        ("p1", "p1", 100, 119, 119.5),
        ("p1~2", "p1", 120, 140, 140),
        ("p1~3", "p1", 141, 159, None),
        ("p2", "p2", 100, 159, 170),
    ]


def test_columns_of_a_log_have_the_names_that_are_said(tmp_path):
    file = log(tmp_path, "machine;when", name="f.csv")
    (tmp_path / file).write_text(f"machine;when\np1;{HOUR * 140}\n")
    found = read(tmp_path, failures={"file": file, "device": "machine", "time": "when", "separator": ";"})
    assert [one.t_fail for one in found] == [HOUR * 140, None, None]


def test_a_life_too_short_to_learn_from_is_left_out_and_said(tmp_path, capsys):
    found = read(tmp_path, failures=log(tmp_path, "device,t_fail", ("p1", 119), ("p1", 125), ("p2", 159)))
    assert [one[:4] for one in told(found)] == [
        ("p1", "p1", 100, 119),
        ("p1~2", "p1", 126, 159),
        ("p2", "p2", 100, 159),
    ]
    assert "device 'p1': 1 life of fewer than 8 rows are left out" in capsys.readouterr().err


def test_repairs_cut_lives_which_then_did_not_fail(tmp_path):
    """Inspected is no repair, unless it is said; a repair before any failure cuts a life, too."""
    kinds = (("p1", 120, "repaired"), ("p1", 140, "inspected"), ("p2", 130, "replaced"))
    file = log(tmp_path, "device,t,kind", *kinds)
    assert told(read(tmp_path, maintenance={"file": file, "kind": "kind"})) == [
        ("p1", "p1", 100, 119, None),
        ("p1~2", "p1", 120, 159, None),
        ("p2", "p2", 100, 129, None),
        ("p2~2", "p2", 130, 159, None),
    ]
    for resets in (["repaired", "replaced", "inspected"], "*"):
        assert len(read(tmp_path, maintenance={"file": file, "kind": "kind", "resets": resets})) == 5
    assert len(read(tmp_path, maintenance=file)) == 5  # without a column of kinds every line is a repair


def test_kinds_none_of_which_is_a_repair_are_said(tmp_path, capsys):
    file = log(tmp_path, "device,t,kind", ("p1", 120, "oiled"))
    assert len(read(tmp_path, maintenance={"file": file, "kind": "kind"})) == 2
    assert "none of its kinds (oiled) is one of maintenance.resets" in capsys.readouterr().err


def test_rows_from_a_failure_to_its_repair_are_left_out(tmp_path, capsys):
    """A machine that stands still is no healthy one; a repair weeks later is another."""
    keys = {"failures": log(tmp_path, "device,t_fail", ("p1", 120), ("p2", 120), name="f.csv")}
    file = log(tmp_path, "device,t", ("p1", 130))
    found = read(tmp_path, maintenance=file, **keys)
    assert [one[:4] for one in told(found)[:2]] == [("p1", "p1", 100, 120), ("p1~2", "p1", 130, 159)]
    assert "9 rows between a failure and its repair are left out" in capsys.readouterr().err
    assert len(read(tmp_path, maintenance={"file": file, "downtime": "5h"}, **keys)) == 5


def test_what_the_agent_was_told_is_maintenance_as_it_is(tmp_path):
    """`forewarn record` keeps it beside the rows, under the names of the recording."""
    (tmp_path / "rec" / "press").mkdir(parents=True)
    (tmp_path / "rec/press/2026.csv").write_text(f"device,t,x\n{ROWS}")
    (tmp_path / "rec/interventions.csv").write_text(
        "device,t,kind,source\np1,1970-01-06T00:00:00Z,repaired,press\np2,1970-01-06T00:00:00Z,inspected,press\n"
    )
    for place in ("rec", "rec/press"):
        of = Table.model_validate({"dataset": "table", "rows": place, "channels": ["x"]})
        found = read_table(of, of.channels, tmp_path)
        assert [one[:4] for one in told(found)] == [
            ("p1", "p1", 100, 119),
            ("p1~2", "p1", 120, 159),
            ("p2", "p2", 100, 159),
        ]
        by_name = of.model_copy(update={"maintenance": Maintenance(file="rec/interventions.csv", device="device")})
        assert told(read_table(by_name, of.channels, tmp_path)) == told(found), "its kinds count there, too"


def test_fault_intervals_label_rows(tmp_path):
    """They go with the life that shows them, and an open one lasts to the last row."""
    intervals = (("p1", 110, 112.5), ("p1", 119, 125), ("p2", 150, ""))
    keys = {"faults": log(tmp_path, "device,start,end", *intervals), "maintenance": None}
    found = read(tmp_path, **keys)
    assert faults(found) == {"p1": [[110, 112.5], [119, 125]], "p2": [[150, 160]]}
    assert found[0].x[found[0].in_fault(), 0].tolist() == [110, 111, 112, *range(119, 125)]
    repaired = read(tmp_path, **(keys | {"maintenance": log(tmp_path, "device,t", ("p1", 120), name="m.csv")}))
    assert faults(repaired) == {"p1": [[110, 112.5], [119, 125]], "p1~2": [[119, 125]], "p2": [[150, 160]]}


def labelled(column: dict[str, str]) -> str:
    """Cells of a column `bad` by device and hour, as p1/110: else empty."""
    lines = [line.split(",") for line in ROWS.splitlines()]
    cells = [column.get(f"{device}/{hour}", "0" if int(hour) % 2 else "") for device, _, hour in lines]
    return "device,t,x,bad\n" + "".join(f"{','.join(line)},{cell}\n" for line, cell in zip(lines, cells, strict=True))


ONES = dict.fromkeys(["p1/110", "p1/111", "p1/112", "p2/158", "p2/159"], "1.0")


def test_a_column_of_0_and_1_labels_faults(tmp_path):
    assert faults(read(tmp_path, labelled(ONES), label="bad")) == {"p1": [[110, 113]], "p2": [[158, 160]]}


def test_a_column_of_0_and_1_may_mean_failures(tmp_path):
    """The machine fails at the first 1, stands still while it stays, and lives anew."""
    assert told(read(tmp_path, labelled(ONES), label={"column": "bad", "means": "failure"})) == [
        ("p1", "p1", 100, 110, 110),
        ("p1~2", "p1", 113, 159, None),
        ("p2", "p2", 100, 158, 158),
    ]


def test_events_become_channels_that_count(tmp_path, capsys):
    """Each row counts the events after the row before it; one without events is 0."""
    events = (("p1", 100, "e1"), ("p1", 99.5, "e1"), ("p1", 90, "e1"), ("p1", 110.5, "e1"), ("p1", 111, "e2"))
    file = log(tmp_path, "device,t,code", *events, ("p2", 200, "e1"))
    of = {"file": file, "kind": "code", "kinds": ["e1", "e2"]}
    keys = {"channels": ["e2", "x", "e1"], "events": of}
    p1, p2 = read(tmp_path, **keys)
    assert p1.x[:, 1].tolist() == list(range(100, 160))
    assert {hour: p1.x[hour - 100, [0, 2]].tolist() for hour in (100, 110, 111, 112)} == {
        100: [0, 2],
        110: [0, 0],
        111: [1, 1],
        112: [0, 0],
    }
    assert not p2.x[:, [0, 2]].any()
    of = {"file": file, "kind": "code", "kinds": {"any": "*", "e9": ["e9"]}}
    found = read(tmp_path, **(keys | {"channels": ["x", "any", "e9"], "events": of}))
    assert found[0].x[:13, 1].tolist() == [2.0, *[0.0] * 10, 2.0, 0.0]
    assert "no event of channel 'e9'; its kinds are e1, e2" in capsys.readouterr().err


def test_events_of_one_channel_and_one_time_count_once(tmp_path):
    """As live, where a message may be delivered again; another channel counts its own."""
    events = (("p1", 110, "e1"), ("p1", 110, "e1"), ("p1", 110, "e2"), ("p1", 109.5, "e1"))
    of = {"file": log(tmp_path, "device,t,code", *events), "kind": "code", "kinds": ["e1", "e2"]}
    p1, _ = read(tmp_path, channels=["x", "e1", "e2"], events=of)
    assert p1.x[10, 1:].tolist() == [2, 1]


def test_a_column_of_the_rows_may_count_events(tmp_path):
    of = {"channels": ["x", "bad"], "columns": {"bad": {"event": True}}}
    p1, _ = read(tmp_path, labelled({"p1/110": "3"}), **of)
    assert np.flatnonzero(p1.x[:, 1]).tolist() == [10]
    assert not np.isnan(p1.x).any()
    table = Table.model_validate({"dataset": "table", "rows": "r.csv", **of})
    assert [info.event for info in table.channel_info(table.channels)] == [False, True]


def test_recorded_lives_belong_to_their_machine(tmp_path):
    """A counter that started again: `forewarn record` wrote the rest under p1~2."""
    again = ROWS + "".join(f"p1~2,{HOUR * hour},{hour}\n" for hour in range(100, 120))
    failures = log(tmp_path, "device,t_fail", ("p1~2", 119), ("p1", 130))
    assert told(read(tmp_path, again, failures=failures)) == [
        ("p1", "p1", 100, 130, 130),
        ("p1~2", "p1", 131, 159, None),
        ("p1~3", "p1", 100, 119, 119),
        ("p2", "p2", 100, 159, None),
    ]


def test_what_is_written_comes_back(tmp_path):
    """Lives are devices of their own then, as replay plays them."""
    keys = {
        "failures": log(tmp_path, "device,t_fail", ("p1", 119.5), ("p2", 170), name="f.csv"),
        "faults": log(tmp_path, "device,start,end", ("p1", 110, 112.5), ("p2", 150, 155), name="i.csv"),
    }
    found = read(tmp_path, **keys)
    paths = [tmp_path / name for name in ("w.csv", "wf.csv", "wi.csv")]
    write_table(found, ["x"], *paths)
    of = Table.model_validate(
        {"dataset": "table", "rows": "w.csv", "failures": "wf.csv", "faults": "wi.csv", "channels": ["x"]}
    )
    again = read_table(of, of.channels, tmp_path)
    assert told(again) == told(found)
    assert faults(again) == faults(found)
    assert [one.x.tobytes() for one in again] == [one.x.tobytes() for one in found]


BAD = {
    "ends before it starts": (
        "faults",
        [("p1", 112, 110)],
        r"log.csv: line 2: column 'end' is '396000', which is not after '403200', the start .* 'p1'\n  Swap",
    ),
    "overlap": (
        "faults",
        [("p1", 110, 115), ("p2", 110, 115), ("p1", 114, 119)],
        r"log.csv: line 4: the fault of device 'p1' overlaps with that of line 2\n  Make one",
    ),
    "all outside": (
        "faults",
        [("p1", 10, 15), ("p2", 200, 215)],
        r"log.csv: line 2: of device 'p1' is outside of its rows \('360000' to '572400'\), as is every line\n  Are the",
    ),
    "no start": ("faults", [("p1", "", 115)], "line 2: column 'start' is empty, not a time"),
    "misspelt": ("faults", [("P1", 110, 115)], "line 2: device 'P1' has no rows; nearest 'p1'"),
    "no time": ("maintenance", [("p1", "", "")], "line 2: column 'start' is empty, not a time"),
}


@pytest.mark.parametrize(("key", "lines", "what"), BAD.values(), ids=BAD)
def test_bad_labels_are_refused_with_their_place(tmp_path, key, lines, what):
    file = log(tmp_path, "device,start,end", *lines)
    with pytest.raises(DataRefused, match=what):
        read(tmp_path, **{key: file if key == "faults" else {"file": file, "time": "start"}})


def test_labels_outside_of_the_rows_are_said(tmp_path, capsys):
    intervals = log(tmp_path, "device,start,end", ("p1", 10, 15), ("p1", 110, 112))
    failures = log(tmp_path, "device,t_fail", ("p1", 50), ("p1", 140), ("p2", ""), name="f.csv")
    assert len(read(tmp_path, faults=intervals, failures=failures)) == 3
    said = capsys.readouterr().err
    assert "log.csv: 1 of 2 lines are left out; line 2: of device 'p1' is outside of its rows" in said
    assert "f.csv: 1 of 3 lines are left out; line 2: of device 'p1'" in said


@pytest.mark.parametrize("cell", ["2", "-1", "0.5", "yes"])
def test_a_label_of_another_value_is_refused(tmp_path, cell):
    with pytest.raises(DataRefused, match=rf"rows.csv: line 12: column 'bad' is '{cell}', not (0 or 1|a number)"):
        read(tmp_path, labelled({"p1/110": cell}), label="bad")


def test_a_label_that_no_file_has_is_refused(tmp_path):
    with pytest.raises(DataRefused, match=r"data.label: no file has the column 'bad'"):
        read(tmp_path, label="bad")


def test_clocks_in_several_zones_are_said(tmp_path, capsys):
    """One file says its offset and another does not: which clock did it go by?"""
    (tmp_path / "a.csv").write_text("device,t,x\np1,2026-07-15T12:00:00+02:00,1\n")
    (tmp_path / "b.csv").write_text("device,t,x\np2,2026-07-15 12:00:00,1\n")
    of = Table.model_validate({"dataset": "table", "rows": ["a.csv", "b.csv"], "channels": ["x"]})
    read_table(of, of.channels, tmp_path)
    assert capsys.readouterr().err == (
        "b.csv line 2: column 't' is '2026-07-15 12:00:00', without an offset: it is taken for UTC, "
        "but a.csv line 2: column 't' is '2026-07-15T12:00:00+02:00'. Is that one clock?\n"
    )


def test_one_row_in_twenty_may_be_spoilt(tmp_path):
    spoilt = ROWS.replace(",110\n", ",300\n").replace(",120\n", ",-300\n").replace(",130\n", ",300\n")
    assert len(read(tmp_path, spoilt)) == 2


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"failures": "f.csv", "run_to_failure": True}, "failures and run_to_failure: failures are told once"),
        ({"failures": "f.csv", "label": {"column": "b", "means": "failure"}}, "failures are told once"),
        ({"time": ""}, "give either time = COLUMN"),
        ({"every": 5}, "give either time = COLUMN"),
        ({"label": "x"}, "column 'x' is named twice"),
        ({"events": {"file": "e.csv", "kinds": ["e1"]}}, "events.kinds has 'e1', which is none of data.channels"),
        ({"device": {"file": "pump.csv"}}, "device"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(keys, what):
    with pytest.raises(ValueError, match=what):
        Table.model_validate({"dataset": "table", "rows": "rows.csv", "channels": ["x"]} | keys)
