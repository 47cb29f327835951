"""From alerts that an agent raised, and what people said of them, to fault intervals that a training learns by."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from agent.bundle.file import read
from agent.cli import main
from agent.errors import DataRefused
from agent.store.outbox import Outbox
from agent.words import AlertLabel
from tests.alert_events import CYCLES, event
from tests.trainer.fleet import small_config
from trainer.config import Anomaly, ChartKeys, Judge, Model
from trainer.data.split import Split
from trainer.data.table import Table, read_table
from trainer.fit import fit

CLOCK = msgspec.structs.replace(CYCLES, time_unit="s")
START_S, STEP_S = 1_750_000_000, 60
LABELS = {"a": ["bad", "good"], "b": ["bad"], "c": ["note"], "d": ["good"], "e": ["good", "note"], "f": ["good"]}
ALERTS = {  # device, source, row of the raise and of the clear
    "a": ("m1", "press", 300, 340), "b": ("m1", "press", 370, 390), "c": ("m2", "press", 100, 120),
    "d": ("m2", "press", 300, None), "e": ("m1", "press", 330, 350), "f": ("m3", "press", 9000, 9100),
}  # fmt: skip


def export(folder: Path, alerts: dict[str, tuple[str, str, int, int | None]] = ALERTS) -> Path:
    """The table that the command writes of these alerts."""
    folder.mkdir(exist_ok=True)
    outbox = Outbox(folder / "alerts.db", 1000)
    for alert, (device, source, raised, cleared) in alerts.items():
        first = event("raised", alert, t=START_S + STEP_S * raised, device=device, bundle=CLOCK)
        outbox.commit([msgspec.structs.replace(first, source=source)])
        if cleared is not None:
            t_ns = (START_S + STEP_S * cleared) * 10**9
            ended = {"kind": "cleared", "state": "normal", "t_ns": t_ns, "sequence": 2, "cause": "below_threshold"}
            outbox.commit([msgspec.structs.replace(first, source=source, **ended)])
        said = [AlertLabel(alert, label, t, "", "anna", source) for t, label in enumerate(LABELS[alert], 5)]
        outbox.commit([], [], said)
    outbox.close()
    table = folder / "labels.csv"
    done = CliRunner().invoke(main, ["alerts", "export", "--labels", str(table), "--state-dir", str(folder)])
    assert done.exit_code == 0, done.output
    return table


def write_rows(folder: Path, n_machines: int = 9, n_rows: int = 400) -> None:
    """A row a minute of noise; m1 and m2 step up where their alerts were good."""
    rng = np.random.default_rng(0)
    lines = ["device,t,x,y"]
    for number in range(n_machines):
        values = rng.normal(0, 1, (n_rows, 2))
        if number in (1, 2):
            values[300 : 350 if number == 1 else 400, 0] += 8
        times = START_S + STEP_S * np.arange(n_rows)
        lines += [f"m{number},{t},{x:.4f},{y:.4f}" for t, (x, y) in zip(times.tolist(), values.tolist(), strict=True)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")


def table(**keys: object) -> Table:
    of = {"dataset": "table", "rows": "rows.csv", "channels": ["x", "y"], "alerts": "state/labels.csv"}
    return Table.model_validate(of | keys)


def rows_of(folder: Path, of: Table) -> dict[str, list[list[float]]]:
    """The fault intervals by device, in rows."""
    lives = read_table(of, of.channels, folder)
    return {one.device: ((one.faults - START_S) / STEP_S).tolist() for one in lives if len(one.faults)}


def test_good_alerts_are_faults_and_bad_ones_normal_time(tmp_path, capsys):
    """The later verdict counts, a note is none, two alerts of one time are one fault, one that stands has no end."""
    write_rows(tmp_path)
    export(tmp_path / "state")
    assert rows_of(tmp_path, table()) == {"m1": [[300, 350]], "m2": [[300, 400]]}
    told = capsys.readouterr().err
    assert "3 alert(s) labelled good are faults, 1 labelled bad normal time; 1 without a label" in told
    assert "1 of 6 lines are left out; line 9: of device 'm3' is outside of its rows" in told


def test_alerts_lie_in_the_life_of_their_time_and_beside_other_faults(tmp_path):
    write_rows(tmp_path)
    export(tmp_path / "state")
    text = (tmp_path / "rows.csv").read_text().splitlines()
    split = [line.replace("m2,", "m2~2,") if i > 1 + 2 * 400 + 250 else line for i, line in enumerate(text)]
    (tmp_path / "rows.csv").write_text("\n".join(split) + "\n")
    (tmp_path / "faults.csv").write_text(f"device,start,end\nm1,{START_S + STEP_S * 345},{START_S + STEP_S * 360}\n")
    assert rows_of(tmp_path, table(faults="faults.csv")) == {"m1": [[300, 360]], "m2~2": [[300, 400]]}


def test_a_repair_ends_the_fault_of_an_alert_that_stood_on(tmp_path):
    write_rows(tmp_path)
    export(tmp_path / "state")
    (tmp_path / "repairs.csv").write_text(f"device,t\nm1,{START_S + STEP_S * 320}\n")
    found = rows_of(tmp_path, table(maintenance="repairs.csv"))
    assert found == {"m1": [[300, 320]], "m2": [[300, 400]]}, "the repaired machine is sound"


def test_of_several_sources_one_is_named(tmp_path):
    write_rows(tmp_path)
    export(tmp_path / "state", ALERTS | {"d": ("m2", "mill", 300, None)})
    with pytest.raises(DataRefused, match=r'alerts of 2 sources: mill, press\n  Name .* source = "mill"'):
        rows_of(tmp_path, table())
    of_press = table(alerts={"file": "state/labels.csv", "source": "press"})
    assert rows_of(tmp_path, of_press) == {"m1": [[300, 350]]}
    with pytest.raises(DataRefused, match=r"has no alert of source 'pres'\n  .*alerts of mill, press"):
        rows_of(tmp_path, table(alerts={"file": "state/labels.csv", "source": "pres"}))


def test_another_table_is_refused_with_its_place(tmp_path):
    write_rows(tmp_path)
    path = export(tmp_path / "state")
    path.write_text(path.read_text().replace(",bad,", ",wrong,", 1))
    with pytest.raises(DataRefused, match=r"labels.csv: line 2: column 'label' is 'wrong', not good, bad"):
        rows_of(tmp_path, table())
    path.write_text(path.read_text().replace("raised", "from", 1))
    with pytest.raises(DataRefused, match=r"labels.csv: line 1: no column 'raised'"):
        rows_of(tmp_path, table())


@pytest.mark.slow
def test_a_training_chooses_its_threshold_from_exported_labels(tmp_path):
    """From the export to a bundle whose thresholds come from labelled intervals."""
    write_rows(tmp_path)
    export(tmp_path / "state")
    charts = (ChartKeys(residual="level", rate=0.2),)
    config = small_config(
        heads=("anomaly",),
        data=table(),
        split=Split(seed=7, fit=3, calibrate=5, play=1),  # it deals m1 and m2 to calibrate
        model=Model(cadence=STEP_S, dt_max=600),
        anomaly=Anomaly(learning=60.0 * STEP_S, charts=charts),
        judge=Judge(h_max=1800.0, h_min=0.0),
    )
    bundle = read(fit(config, tmp_path, tmp_path / "out"))
    thresholds = bundle.manifest.anomaly.thresholds
    assert (thresholds.basis, thresholds.failures) == ("intervals", 2)
    assert max(row.detected for row in thresholds.rows) == 2
    assert "alerts labelled good in state/labels.csv" in bundle.card
