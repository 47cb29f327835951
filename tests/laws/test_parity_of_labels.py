"""Law 1 for labels: by one configuration a training and a replay have the same lives, failures and faults of machines,
however the files are written."""

import io
import json
import tarfile
from pathlib import Path

import click
import msgspec
import numpy as np
import pytest

from agent.errors import ConfigurationRefused
from agent.replay.options import Labelled, asked
from agent.replay.recorded import Recordings, read_labelled
from tests.small_bundle import small_manifest
from trainer.data.history import History
from trainer.data.table import Table, read_table

CHANNELS = ("temp", "load", "wear")
ROWS = [(device, day, 0.1 * day, day % 7, day / 3) for device in ("p1", "p2") for day in range(100, 190)]
MANIFEST = msgspec.structs.replace(small_manifest(), time_unit="s")


def lives_of(one: History | tuple) -> tuple:
    return (one.device, one.t_ns.tolist(), one.x.tobytes(), one.t_fail, one.faults.tolist())


def both(folder: Path, data: dict, rows: bytes, name: str) -> tuple[list[tuple], list[tuple], Recordings]:
    """What a training has of a folder, and what a replay has that is given the same TOML."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(rows)
    (folder / "failures.csv").write_text("unit;when\np1;1970-04-30T12:00Z\np1;1970-06-10\np2;1970-07-20\n")
    (folder / "work.csv").write_text("device,t,what\np2,1970-05-15,replaced\np2,1970-05-30,inspected\n")
    (folder / "faults.csv").write_text("device,start,end\np1,1970-06-15,1970-06-18\np2,1970-05-01,1970-05-03\n")
    data = {"dataset": "table", "channels": list(CHANNELS)} | data
    table = Table.model_validate(data)
    trained = [lives_of(one) for one in sorted(read_table(table, CHANNELS, folder), key=lambda one: one.device)]
    toml = folder / "train.toml"
    toml.write_text("[data]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in data.items()))
    found = read_labelled(asked(Labelled((), toml), MANIFEST))
    none = np.empty((0, 2))
    replayed = [
        (
            one.device, one.t_ns.tolist(), one.x.tobytes(), found.t_fail_s[one.device],
            (found.faults or {}).get(one.device, none).tolist(),
        )
        for one in found.devices
    ]  # fmt: skip
    return trained, replayed, found


def toml_value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


LABELS = {
    "failures": {"file": "failures.csv", "device": "unit", "time": "when", "separator": ";"},
    "maintenance": {"file": "work.csv", "device": "device", "kind": "what"},
    "faults": {"file": "faults.csv", "device": "device"},
}


def csv(separator: str, header: str, *, time: bool = True) -> bytes:
    lines = [
        separator.join([device, *([str(86_400 * day)] if time else []), *(f"{value:g}" for value in values)])
        for device, day, *values in ROWS
    ]
    return "\n".join([*filter(None, [header]), *lines, ""]).encode()


def archive(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("keys", "rows", "name"),
    [
        ({"rows": "rows.csv"}, csv(",", "device,t,temp,load,wear"), "rows.csv"),
        ({"rows": "r.txt", "separator": "\t", "device": "m"}, csv("\t", "m\tt\ttemp\tload\twear"), "r.txt"),
        (
            {"rows": "r.txt", "separator": " ", "header": ["m", "at", "a", "load", "wear"], "device": "m", "time": "at",
             "columns": {"temp": "a"}},
            csv("  ", ""),
            "r.txt",
        ),
        (
            {"rows": "set.tar.xz/data/*.csv"},
            archive("data/rows.csv", csv(",", "device,t,temp,load,wear")),
            "set.tar.xz",
        ),
    ],
    ids=["commas", "tabs", "blanks without names", "archive"],
)  # fmt: skip
def test_a_replay_reads_rows_and_labels_as_a_training_does(tmp_path, keys, rows, name):
    trained, replayed, found = both(tmp_path, LABELS | keys, rows, name)
    assert replayed == trained
    assert [(one, len(t)) for one, t, *_ in trained] == [
        ("p1", 20), ("p1~2", 41), ("p1~3", 29), ("p2", 34), ("p2~2", 56),
    ]  # fmt: skip
    assert [t_fail and t_fail / 86_400 for *_, t_fail, _ in trained] == [119.5, 160, None, None, 200]
    assert {one: len(of) for one, *_, of in trained if of} == {"p1~3": 1, "p2": 1}
    assert "failures and repairs cut 2 machine(s) into 5 lives" in found.doubts[-1]


def test_rows_without_a_time_that_say_themselves_when_something_was_wrong(tmp_path):
    keys = {"rows": "r.csv", "time": "", "every": "1d", "label": "wear", "channels": ["temp", "load"]}
    rows = csv(",", "device,temp,load,wear", time=False)
    rows = rows.replace(b",33.3333\n", b",1\n")
    for value in {f"{values[-1]:g}" for _, _, *values in ROWS}:
        rows = rows.replace(f",{value}\n".encode(), b",0\n")
    (tmp_path / "r.csv").write_bytes(rows)
    table = Table.model_validate({"dataset": "table"} | keys)
    trained = {one.device: one.faults.tolist() for one in read_table(table, ("temp", "load"), tmp_path)}
    (tmp_path / "train.toml").write_text(
        '[data]\ndataset = "table"\n' + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    )
    manifest = msgspec.structs.replace(MANIFEST, channels=MANIFEST.channels[:2])
    found = read_labelled(asked(Labelled((), tmp_path / "train.toml"), manifest))
    assert (
        {name: of.tolist() for name, of in found.faults.items()}
        == trained
        == {"p1": [[0, 86_400]], "p2": [[0, 86_400]]}
    )


def test_files_of_the_command_line_take_the_place_of_the_configurations(tmp_path):
    """With their columns as the configuration has them; places of the command line are those of its own folder."""
    both(tmp_path, LABELS | {"rows": "rows.csv"}, csv(",", "device,t,temp,load,wear"), "rows.csv")
    (tmp_path / "late.csv").write_text("unit;when\np2;1970-07-20\n")
    named = Labelled((str(tmp_path / "rows.csv"),), tmp_path / "train.toml", truth=tmp_path / "late.csv")
    assert read_labelled(asked(named, MANIFEST)).t_fail_s == {"p1": None, "p2": None, "p2~2": 200 * 86_400}
    alone = Labelled((str(tmp_path / "rows.csv"),), maintenance=tmp_path / "work.csv")
    assert list(read_labelled(asked(alone, MANIFEST)).t_fail_s) == ["p1", "p2", "p2~2", "p2~3"], "each line is a repair"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[data]\ndataset = 'cmapss'\n", r'data.dataset is not "table"\n  Of another data set .* play.csv'),
        (
            "[data]\ndataset = 'table'\nrows = 'r.csv'\nchannels = ['x']\ntmie = 't'\n",
            r"data.tmie: unknown key; did you mean time\?",
        ),
        ("[data\n", "is not TOML"),
    ],
)
def test_a_configuration_that_says_not_how_files_are_read_is_refused(tmp_path, text, told):
    (tmp_path / "train.toml").write_text(text)
    with pytest.raises(ConfigurationRefused, match=told):
        asked(Labelled((), tmp_path / "train.toml"), MANIFEST)


def test_options_that_the_configuration_answers_are_refused(tmp_path):
    (tmp_path / "train.toml").write_text("[data]\ndataset = 'table'\nrows = 'r.csv'\nchannels = ['temp']\n")
    with pytest.raises(click.BadParameter, match="--config says how rows are read"):
        asked(Labelled((), tmp_path / "train.toml", device="unit"), MANIFEST)
    with pytest.raises(click.BadParameter, match="the bundle counts cycles"):
        asked(Labelled((), tmp_path / "train.toml"), small_manifest())
    with pytest.raises(click.BadParameter, match="name the recorded rows, or a --config that does"):
        asked(Labelled(()), MANIFEST)
