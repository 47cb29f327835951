"""Labels of a bundle's alerts and the recording of that time: the next bundle's thresholds know of both."""

import csv
import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.bundle.manifest import RunsWhile
from agent.errors import DataRefused
from agent.label_alerts import COLUMNS
from agent.replay.recorded import read_recorded
from agent.score.early_warning import n_false_alarms, spells_of
from tests.bundles import write_small_bundle
from tests.small_anomaly import LEARNING, anomaly_manifest
from tests.small_bundle import CHANNELS, small_manifest
from tests.streams import life
from trainer.bundle.adapt import adapt, as_text
from trainer.cli import cli
from trainer.data.history import History
from trainer.data.runs import running_by
from trainer.evaluation.labelled_table import is_refuted
from trainer.evaluation.playback import play

RAN_AT = 0.5
DEVICES = ("p1", "p2", "line1%2Fp3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A bundle, and three machines recorded: two wear and are mended, one of them twice; the third is sound."""
    made = tmp_path_factory.mktemp("adapt")
    write_small_bundle(made / "small-1.0.0.fwb")
    twice = [*life("p1", 60), *life("p1", 60, start=61, wear_from=1000), *life("p1", 60, start=121, wear_from=140)]
    lives = [twice, life("p2", 60, seed=2) + life("p2", 90, start=61, wear_from=1000), life("p3", 150, wear_from=1000)]
    with (made / "rows.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("device", "t", *CHANNELS))
        for device, messages in zip(DEVICES, lives, strict=True):
            for _, payload in messages:
                row = json.loads(payload)
                writer.writerow((device, row["cycle"], *(row[name] for name in CHANNELS)))
    return made


def events(folder: Path, threshold: float) -> tuple[Bundle, list[History], list]:
    """What the bundle's own judge raises on the recording at a threshold."""
    bundle = file.read(folder / "small-1.0.0.fwb")
    recorded = read_recorded([str(folder / "rows.csv")], bundle.manifest).devices
    histories = [running_by(bundle.manifest, History(one.device, one.t_s, one.x, None, one.t_ns)) for one in recorded]
    return bundle, histories, [device.events for device in play(bundle, bundle.model, histories, threshold)]


def write_labels(folder: Path, labels: list[str], **changes: str) -> Path:
    """The alerts of the threshold that ran, in the order of devices and time, with a label each."""
    bundle, histories, of_devices = events(folder, RAN_AT)
    spells = [(one.device, spell) for one, of in zip(histories, of_devices, strict=True) for spell in spells_of(of)]
    assert len(spells) == 3
    path = folder / "labels.csv"
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, restval="")
        writer.writeheader()
        for number, ((device, spell), label) in enumerate(zip(spells, labels, strict=True)):
            cleared = "" if spell.cleared_s == float("inf") else spell.cleared_s
            row = {
                "alert": f"{number:032x}", "device": device.replace("%2F", "/"), "head": "risk", "bundle": "small",
                "version": "1.0.0", "digest": bundle.digest, "raised": spell.raised_s, "cleared": cleared,
                "label": label, "at": "2026-11-28T06:30:00Z" if label else "",
            }  # fmt: skip
            writer.writerow(row | changes)
    return path


def adapted(folder: Path, labels: Path, **options):
    return adapt(folder / "small-1.0.0.fwb", labels, [str(folder / "rows.csv")], folder / "out", **options)


@pytest.mark.slow
def test_where_all_alerts_were_false_the_table_gets_what_the_judge_raises_at_each_threshold(folder):
    """Held against whole plays through the core, one a threshold."""
    one = adapted(folder, write_labels(folder, ["bad"] * 3)).heads["risk"]
    table = small_manifest().thresholds
    for place, row in enumerate(table.rows):
        _, histories, of_devices = events(folder, row.threshold)
        stood_s = [
            min(spell.cleared_s, history.t_s[-1]) - spell.raised_s
            for history, of in zip(histories, of_devices, strict=True)
            for spell in spells_of(of)
        ]
        n_false = sum(n_false_alarms(each_s, table.h_max_s) for each_s in stood_s)
        assert one.observed.false_alarms[place] == n_false
        assert one.observed.false_alarm_s[place] == pytest.approx(sum(stood_s))
        assert one.table.rows[place].detected == row.detected
    assert one.observed.false_alarms[1] >= 3
    assert one.observed.incidents == 0


@pytest.mark.slow
def test_a_good_one_is_a_detection_and_its_time_no_exposure_and_one_without_a_label_neither(folder):
    bad = adapted(folder, write_labels(folder, ["bad"] * 3)).heads["risk"].observed
    mixed = adapted(folder, write_labels(folder, ["good", "bad", ""])).heads["risk"]
    observed, table = mixed.observed, small_manifest().thresholds
    assert (observed.incidents, observed.detected[1]) == (1, 1)
    assert 0 < observed.lead_s[1] <= table.h_max_s
    assert observed.false_alarms[1] < bad.false_alarms[1]
    assert observed.exposure_s < bad.exposure_s
    assert mixed.table.failures == table.failures + 1
    lead_s = (table.rows[1].mean_lead_s * table.failures + observed.lead_s[1]) / (table.failures + 1)
    assert mixed.table.rows[1].mean_lead_s == pytest.approx(lead_s)
    false = adapted(folder, write_labels(folder, ["good", "bad", ""]), unlabelled_is_bad=True).heads["risk"]
    assert false.observed.false_alarms[1] > observed.false_alarms[1]
    assert false.verdicts == {"good": 1, "bad": 2}


@pytest.mark.slow
def test_rows_of_stops_are_no_exposure_and_no_false_alarm(folder, tmp_path):
    """The sound machine stands for twenty rows, in which its values are wild, and starts for two."""
    channel = msgspec.structs.replace(small_manifest().channels[0], name="running")
    runs = RunsWhile(channel, 0.5, 2.0)
    write_small_bundle(tmp_path / "small-1.0.0.fwb", msgspec.structs.replace(small_manifest(), runs=runs))
    with (folder / "rows.csv").open(newline="") as rows, (tmp_path / "rows.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, ("device", "t", *CHANNELS, "running"))
        writer.writeheader()
        for row in csv.DictReader(rows):
            is_off = row["device"] == DEVICES[2] and 50 <= float(row["t"]) < 70
            writer.writerow(row | ({"wear": 9.0, "running": 0} if is_off else {"running": 1}))
    labels = ["bad"] * 3
    without, with_stops = (adapted(one, write_labels(one, labels)).heads["risk"] for one in (folder, tmp_path))
    assert without.observed.exposure_s - with_stops.observed.exposure_s == 22
    assert with_stops.observed.false_alarms == without.observed.false_alarms


def test_the_new_bundle_is_one_version_later_with_the_same_graphs_and_says_where_it_is_from(folder):
    before = file.read(folder / "small-1.0.0.fwb")
    done = adapted(folder, write_labels(folder, ["good", "bad", "bad"]))
    after = file.read(done.path)
    assert done.path.name == "small-1.0.1.fwb"
    assert (after.model, after.model_fp32) == (before.model, before.model_fp32)
    assert after.golden.pack() == before.golden.pack()
    assert after.manifest.created_from.adapted_from == before.digest
    assert after.manifest.thresholds == done.heads["risk"].table
    assert "## Adapted" in after.card
    assert json.loads(after.report)["adapted"]["from"] == before.digest
    unchanged = msgspec.structs.replace(
        after.manifest,
        version="1.0.0",
        thresholds=before.manifest.thresholds,
        members=before.manifest.members,
        created_from=before.manifest.created_from,
    )
    assert unchanged == before.manifest


def test_a_plant_with_far_more_false_alarms_than_calibration_stands_alone():
    """By hand: after 2 in 2000 cycles, 1 in 400 is no news; 6 in 400 are."""
    assert not is_refuted(1, 400.0, 2, 2000.0)
    assert is_refuted(6, 400.0, 2, 2000.0)
    assert not is_refuted(0, 400.0, 0, 2000.0)
    assert is_refuted(2000, 400.0, 2000, 2000.0), "large counts do not overflow"
    share = 1 / 6  # of 1 alarm, by chance within the shorter time
    assert is_refuted(1, 1.0, 0, 5.0) == (share < 0.05)


def test_the_command_says_before_and_after_in_words(folder):
    labels = write_labels(folder, ["bad"] * 3)
    arguments = ["adapt", folder / "small-1.0.0.fwb", "--labels", labels, "--data", folder / "rows.csv"]
    done = CliRunner().invoke(cli, [*map(str, arguments), "--out", str(folder / "cli"), "--budget", "1 per 150 cycles"])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{folder / 'cli' / 'small-1.0.1.fwb'}\n"
    assert "risk: 0 alerts labelled good, 3 bad, 0 without a label left out" in done.stderr
    assert 'budget "1 per 150 cycles": the threshold ' in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "budget", "why"),
    [
        ("bad", "1 per 10000 cycles", "no threshold of the table keeps to the budget, and this is the highest: "),
        ("bad", "1 per 400 cycles", "which the budget allows; "),
        ("good", "1 per 10 cycles", "it is the lowest of the table, and keeps to the budget: "),
    ],
)
def test_it_says_why_a_threshold_stays_although_alerts_were_labelled(folder, label, budget, why):
    done = adapted(folder, write_labels(folder, [label] * 3), budget=budget)
    head = done.heads["risk"]
    assert head.before.threshold == head.after.threshold
    said = as_text(done, small_manifest())
    assert "it stays, since " in said
    assert why in said


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"digest": "e" * 64}, "has no alert of small 1.0.0"),
        ({"head": "anomaly"}, "has no alert of small 1.0.0"),
        ({"device": "p9"}, "holds no row of the time of any of the 3 alerts"),
        ({"raised": "soon"}, "raised is 'soon', not a cycle"),
        ({"cleared": "1"}, "cleared is before raised"),
        ({"label": "fine"}, "label is 'fine', not good, bad, note or nothing"),
        ({"at": "today"}, "no ISO 8601 time"),
    ],
)
def test_labels_of_another_bundle_device_or_form_are_refused(folder, changes, why):
    with pytest.raises(DataRefused, match=why):
        adapted(folder, write_labels(folder, ["bad"] * 3, **changes))


@pytest.mark.slow
def test_the_table_of_the_head_anomaly_is_adapted_as_that_of_risk_is(folder, tmp_path):
    """Its scores are the head's own: held against whole plays at each threshold, from the first row that is learnt."""
    path = write_small_bundle(tmp_path / "alone-1.0.0.fwb", anomaly_manifest())
    bundle = file.read(path)
    recorded = read_recorded([str(folder / "rows.csv")], bundle.manifest).devices
    histories = [History(one.device, one.t_s, one.x, None, one.t_ns) for one in recorded]
    labels = tmp_path / "labels.csv"
    with labels.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, restval="")
        writer.writeheader()
        for number, device in enumerate(play(bundle, bundle.model, histories, 4.0)):
            for place, spell in enumerate(spells_of(device.events)):
                row = {
                    "alert": f"{number:030x}{place:02x}", "device": device.device, "head": "anomaly",
                    "bundle": "alone", "version": "1.0.0", "digest": bundle.digest, "raised": spell.raised_s,
                    "cleared": "" if spell.cleared_s == float("inf") else spell.cleared_s,
                    "label": "bad", "at": "2026-11-28T06:30:00Z",
                }  # fmt: skip
                writer.writerow(row)
    done = adapt(path, labels, [str(folder / "rows.csv")], tmp_path / "out")
    before, after = bundle.manifest.anomaly, file.read(done.path).manifest.anomaly
    observed = done.heads["anomaly"].observed
    for place, row in enumerate(before.thresholds.rows):
        n_false = sum(
            n_false_alarms(min(spell.cleared_s, history.t_s[-1]) - spell.raised_s, before.thresholds.h_max_s)
            for history, one in zip(histories, play(bundle, bundle.model, histories, row.threshold), strict=True)
            for spell in spells_of(one.events)
        )
        assert observed.false_alarms[place] == n_false > 0
    assert observed.exposure_s == sum(len(history.t_s) - LEARNING for history in histories)
    assert done.left_out == {}
    assert after.thresholds == done.heads["anomaly"].table != before.thresholds
    assert (after.charts, after.policy) == (before.charts, before.policy)


def test_of_two_labels_the_later_counts_wherever_it_stands_in_the_table(folder):
    path = write_labels(folder, ["good", "bad", "bad"])
    rows = list(csv.DictReader(path.open(newline="")))
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerow(rows[0] | {"label": "bad", "at": "2026-11-29T06:30:00Z"})
        writer.writerow(rows[0] | {"label": "note", "at": "2026-11-30T06:30:00Z"})
        writer.writerows(rows)
    assert adapted(folder, path).heads["risk"].verdicts == {"bad": 3}
