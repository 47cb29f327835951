"""docs/data.md as its reader would follow it: the documented configuration trains on files of the documented form."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.bundle.file import read
from trainer.cli import cli
from trainer.config_file import read_config
from trainer.data.history import History
from trainer.data.pumps import fleet
from trainer.data.table import Table, write_table

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "configs/train/table.toml"
PAGE = ROOT / "docs/data.md"


def some_pumps(n: int, channels: tuple[str, ...]) -> list[History]:
    """The last 260 hours of n pumps; every third was taken out of service sixty hours before it would have failed."""
    found = []
    for number, pump in enumerate(fleet.histories(n, 0, channels)):
        rows, t_fail = (slice(-260, -60), None) if number % 3 == 0 else (slice(-260, None), pump.t_fail)
        found.append(replace(pump, t_s=pump.t_s[rows], x=pump.x[rows], t_fail=t_fail))
    return found


def run(*arguments: object) -> Result:
    """With a FOREWARN_DATA that has nothing to do with the user's own files."""
    return CliRunner().invoke(cli, list(map(str, arguments)), env={"FOREWARN_DATA": "/nonexistent"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's TOML beside the files that it names, trained for one epoch into `out`."""
    folder = tmp_path_factory.mktemp("own")
    channels = read_config(EXAMPLE).data.channels
    write_table(some_pumps(20, channels), channels, folder / "rows.csv", folder / "failures.csv")
    (folder / "table.toml").write_text(EXAMPLE.read_text().replace("hidden = 32", "hidden = 8") + "thresholds = 9\n")
    done = run("fit", folder / "table.toml", "--out", folder / "out", "--epochs", 1)
    assert done.exception is None
    assert done.stdout == f"{folder / 'out/my-pumps-0.1.0.fwb'}\n"
    return folder


def test_the_page_shows_the_example() -> None:
    assert EXAMPLE.read_text() in re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.S)
    assert isinstance(read_config(EXAMPLE).data, Table)


@pytest.mark.slow
def test_the_documented_example_trains_on_files_beside_it(folder: Path) -> None:
    """Devices that did not fail are learnt from, kept for playing as such, and leave no life behind."""
    manifest = read(folder / "out/my-pumps-0.1.0.fwb").manifest
    of = manifest.created_from
    assert (len(of.fit_devices), len(of.calibrate_devices), len(of.play_devices)) == (12, 4, 4)
    failed = {line.split(",")[0] for line in (folder / "failures.csv").read_text().splitlines() if line[-1] != ","}
    known = {*of.fit_devices, *of.calibrate_devices}
    assert (len(manifest.lives_s), len(manifest.unfailed_s)) == (len(failed & known), len(known - failed))
    assert len(failed & {*of.play_devices}) in (2, 3)
    truth = (folder / "out/truth.csv").read_text().splitlines()[1:]
    assert {line.split(",")[0] for line in truth if line[-1] != ","} == failed & {*of.play_devices}
    assert manifest.time_unit == "s"


@pytest.mark.slow
def test_the_card_says_what_it_was_made_from(folder: Path) -> None:
    card = " ".join(read(folder / "out/my-pumps-0.1.0.fwb").card.split())
    assert "Recordings from rows.csv, failures from failures.csv, dealt out whole" in card
    assert "simulated" not in card


@pytest.mark.slow
def test_evaluate_needs_the_folder_and_the_same_failures(folder: Path, tmp_path: Path) -> None:
    bundle = folder / "out/my-pumps-0.1.0.fwb"
    done = run("evaluate", "--bundle", bundle, "--data", folder)
    assert done.exception is None
    assert "4 held-out devices" in done.output
    absent = run("evaluate", "--bundle", bundle)
    assert "/nonexistent/rows.csv: No such file" in str(absent.exception)
    (tmp_path / "rows.csv").write_text((folder / "rows.csv").read_text())
    (tmp_path / "failures.csv").write_text(
        (folder / "failures.csv").read_text().replace("pump-0001,", "pump-0001,1705704400")
    )
    assert "is not the data that my-pumps 0.1.0 was made from" in str(
        run("evaluate", "--bundle", bundle, "--data", tmp_path).exception
    )


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("missing =", "run_to_failure = true\nmissing =", "data: failures and run_to_failure: failures are told once"),
        ("failures =", "failuers =", "data.failuers: unknown key; did you mean failures?"),
        ('"speed", "flow"', '"t", "flow"', "data: column 't' is named twice"),
        ('rows = "rows.csv"', "rows = []", "data.rows: "),
    ],
)
def test_a_contradiction_is_refused(tmp_path: Path, old: str, new: str, what: str) -> None:
    assert old in EXAMPLE.read_text()
    (tmp_path / "table.toml").write_text(EXAMPLE.read_text().replace(old, new, 1))
    done = run("fit", tmp_path / "table.toml", "--out", tmp_path / "out")
    assert what in str(done.exception)
    assert not (tmp_path / "out").exists()
