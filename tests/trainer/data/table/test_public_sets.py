"""Recordings of five plants, read by configuration alone; the counts are those that the sets' descriptions give."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.cmapss import pick, read_test, read_train
from trainer.data.history import History, numbered
from trainer.data.pumps.fleet import histories as pump_histories
from trainer.data.table import Table, read_table, write_table

PUBLIC = Path(__file__).parents[4] / "configs" / "train" / "public"

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Path:
    data = os.environ.get("FOREWARN_DATA", "")
    require("data", bool(data), "FOREWARN_DATA is not set: it names the folder that holds the public sets")
    return Path(data)


def read(name: str, folder: Path) -> tuple[Config, list[History]]:
    config = read_config(PUBLIC / f"{name}.toml")
    return config, config.data.read(config.channels, config.split.n_devices, folder)


def n_rows(histories: list[History]) -> int:
    return sum(len(one.t_s) for one in histories)


def as_bytes(histories: list[History]) -> dict[str, tuple[bytes, bytes, bytes, float | None]]:
    return {one.device: (one.t_s.tobytes(), one.t_ns.tobytes(), one.x.tobytes(), one.t_fail) for one in histories}


def test_cmapss_is_the_same_to_the_bit_as_its_own_reader_gives(folder: Path) -> None:
    config, found = read("cmapss-fd001", folder)
    cmapss = folder / "cmapss"
    assert as_bytes(found) == as_bytes(pick(read_train(cmapss, "FD001"), config.channels))
    (tests,) = config.data.read_tests(config.channels, folder).values()
    assert as_bytes(tests) == as_bytes(pick(read_test(cmapss, "FD001"), config.channels))
    assert [one.device for one in tests] == [str(unit) for unit in range(1, 101)]


def test_skab_has_34_experiments_with_a_fault_each(folder: Path) -> None:
    _, found = read("skab", folder)
    assert (len(found), n_rows(found)) == (35, 46_806)
    assert {one.device for one in found if not len(one.faults)} == {"anomaly-free-anomaly-free"}
    labelled = [one for one in found if len(one.faults)]
    assert (n_rows(labelled), sum(len(one.faults) for one in labelled)) == (37_401, 34)
    assert sum(int(one.in_fault().sum()) for one in labelled) == 13_067
    (other_2,) = (one for one in found if one.device == "other-2")
    assert int(np.argmax(other_2.in_fault())) == 104


def test_asd_has_12_servers_whose_labels_are_of_their_last_15_days(folder: Path) -> None:
    _, found = read("asd", folder)
    assert (len(found), n_rows(found)) == (12, 102_331 + 51_840)
    assert sum(len(one.faults) for one in found) == 76
    assert sum(int(one.in_fault().sum()) for one in found) == 2_392
    for one in found:
        assert set(np.diff(one.t_ns).tolist()) == {300 * 10**9}
        assert one.faults.min() >= one.t_s[-4_320]


def test_azure_has_several_lives_a_machine_and_its_errors_as_channels(folder: Path) -> None:
    config, found = read("azure", folder)
    assert len({one.owner for one in found}) == 20
    ends_s = {owner: max(one.t_s[-1] for one in found if one.owner == owner) for owner in {one.owner for one in found}}
    within = [one for one in found if one.t_fail is not None and one.t_fail <= ends_s[one.owner]]
    assert len(within) == 37
    assert len({one.owner for one in within}) == 18
    assert not {"6", "13"} & {one.owner for one in within}
    events = [name for name in config.channels if name.startswith("error")]
    x = np.concatenate([one.x for one in found])
    assert x[:, -len(events) :].sum() == 211
    assert not np.isnan(x).any()
    assert n_rows(found) == 43_200


def test_pumps_come_back_from_files_with_their_lives(tmp_path: Path) -> None:
    """A pump and its next life, as the maintenance log and the failures of a plant have them."""
    channels = ("speed", "flow", "power")
    first, second, third = pump_histories(3, 0, channels)
    t_s = second.t_s - second.t_s[0] + first.t_s[-1] + 7200
    whole = History(first.device, np.append(first.t_s, t_s), np.concatenate([first.x, second.x]), None)
    write_table([whole, third], channels, tmp_path / "rows.csv", tmp_path / "none.csv")
    t_fail = first.t_fail or 0.0
    lines = [f"{first.device},{t_fail:.17g}", f"{third.device},{third.t_fail:.17g}"]
    (tmp_path / "failures.csv").write_text("\n".join(["device,t_fail", *lines]) + "\n")
    (tmp_path / "repairs.csv").write_text(f"device,t\n{first.device},{t_fail + 3600:.17g}\n")
    keys = {"rows": "rows.csv", "failures": "failures.csv", "maintenance": "repairs.csv", "channels": channels}
    found = read_table(Table.model_validate({"dataset": "table", **keys}), channels, tmp_path)
    lives = numbered(first.device, [first, History(first.device, t_s, second.x, None)])
    assert as_bytes(found) == as_bytes([*lives, third])
