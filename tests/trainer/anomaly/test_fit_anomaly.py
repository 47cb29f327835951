"""From recordings in which nothing failed to a bundle that an agent loads, and what is refused before that."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.bundle.file import Bundle, read
from agent.core.model import load_engine
from agent.errors import ConfigurationRefused, DataRefused
from tests.trainer.fleet import fleet, small_config
from tests.trainer.recordings import table
from trainer.anomaly.bank import EWMA, LIMITS
from trainer.anomaly.calibrate import anomaly_table
from trainer.anomaly.choose import Choice
from trainer.anomaly.learn import Learnt, learn, notes_on_learning, rehearsed
from trainer.anomaly.own_normal import Pooled
from trainer.bundle.assemble import new_bundle
from trainer.config import Anomaly, ChartKeys, Config, Model
from trainer.data.history import History
from trainer.data.split import Parts, Split
from trainer.evaluation.playback import play
from trainer.evaluation.text import fit_as_text
from trainer.fit import make_folder, rehearse, train_and_write

SETTINGS = Anomaly(learning=60 * 60.0, ahead=4, hidden=8, steps=60, batch=8)


def plant(**sections: object) -> Config:
    """A row a minute; learns from an hour of them."""
    return small_config(
        **{
            "heads": ("anomaly",),
            "data": table(time_unit="s"),
            "split": Split(fit=4, calibrate=3, play=2),
            "model": Model(cadence=60, dt_max=600),
            "anomaly": SETTINGS,
            "judge": small_config().judge.model_copy(update={"h_max": 7200.0, "h_min": 60.0}),
            **sections,
        }
    )


def device(number: int, n_rows: int = 400, *, cycle: float = 1.0) -> History:
    """A cycle of twenty minutes under noise, at a level of its own."""
    rng, t = np.random.default_rng(number), np.arange(n_rows)
    x = cycle * np.sin(2 * np.pi * (t + rng.integers(20)) / 20)[:, None] * [1, 2, 0.5] + rng.normal(size=3)
    x += 0.2 * rng.normal(size=x.shape)
    return History(f"m{number}", 60.0 * t, x.astype(np.float32), None)


def parts(*, cycle: float = 1.0) -> Parts:
    devices = [device(number, cycle=cycle) for number in range(9)]
    return Parts(tuple(devices[:4]), tuple(devices[4:7]), tuple(devices[7:]))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("plant")
    make_folder(folder)
    rehearse(plant(), parts(), "0" * 64)
    return read(train_and_write(plant(), parts(), "0" * 64, folder))


@pytest.mark.slow
def test_a_bundle_without_labels_is_whole_and_says_what_it_is(bundle: Bundle) -> None:
    load_engine(bundle)
    head = bundle.manifest.anomaly
    assert head is not None
    assert (bundle.manifest.risk, bundle.manifest.judge, bundle.manifest.rul) == (None, None, None)
    assert [(chart.residual, chart.ahead, chart.rate) for chart in head.charts] == [
        ("level", 0, 0.1),
        ("forecast", 4, 0.1),
        ("forecast", 4, 0.25),
        ("forecast", 4, 1.0),
        ("smoothing", 0, 1.0),
    ]
    assert sum(chart.share for chart in head.charts) == pytest.approx(1)
    assert head.learning_rows == 60
    assert head.thresholds.basis == "normal"
    assert head.thresholds.exposure_s == pytest.approx(3 * 60 * (400 - 60))
    assert head.thresholds.rows[-1].false_alarms == 1
    said = fit_as_text(bundle.manifest)
    assert "learnt from its first 60 rows" in said
    assert "The net leads in" in said
    assert "from normal time alone" in said
    assert said.endswith("in the agent, or record for longer or more devices.")
    assert "## The head `anomaly`" in bundle.card


@pytest.mark.slow
def test_a_jump_that_stays_is_seen_on_a_device_of_another_level(bundle: Bundle) -> None:
    """Soon after it came, once, and the channel that jumped is named."""
    assert bundle.manifest.anomaly is not None
    good, bad = device(20), device(21)
    bad.x[300:, 1] += 3
    threshold = 2 * bundle.manifest.anomaly.thresholds.rows[-1].threshold
    played = play(bundle, bundle.model, [good, bad], threshold)
    assert [[event.kind for event in one.events if event.kind == "raised"] for one in played] == [[], ["raised"]]
    assert 300 <= played[1].events[0].t_ns / 60e9 < 330
    np.testing.assert_array_equal(played[0].outputs["anomaly"][:60, 0], -np.arange(60, 0, -1))
    assert (played[1].outputs["contribution"][310:330].argmax(axis=1) == 1).all()


@pytest.mark.slow
def test_two_fits_of_one_seed_are_the_same_bytes() -> None:
    found = [new_bundle(plant(), parts(), None, "0" * 64, learn(plant(), parts())) for _ in range(2)]
    assert found[0].model == found[1].model
    assert found[0].manifest.anomaly == found[1].manifest.anomaly


@pytest.mark.slow
def test_a_net_that_foresees_nothing_is_left_out_and_it_is_said() -> None:
    found = learn(plant(), parts(cycle=0))
    assert found.model.bank.charts == (EWMA, LIMITS), "smoothing foresees nothing too"
    assert found.model.forecaster is None
    assert "the net adds nothing and is left out" in found.choice.why
    assert "smoothing (foresees 0.0% of what normal rows do)" in found.choice.why


@pytest.mark.slow
def test_both_heads_in_one_bundle_say_what_each_says_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They share nothing but x: the risk's bits are those of the bundle that has no other head."""
    lives = fleet()
    of = Parts(tuple(lives[:8]), tuple(lives[8:11]), tuple(lives[11:]))
    keys = Anomaly(learning=16, ahead=4, hidden=8, steps=5, batch=4, h_max=10)
    both, alone = (small_config(heads=heads, anomaly=keys) for heads in (("risk", "anomaly"), ("risk",)))
    played = []
    for number, config in enumerate((both, alone)):
        make_folder(tmp_path / str(number))
        bundle = read(train_and_write(config, of, "0" * 64, tmp_path / str(number)))
        load_engine(bundle)
        played.append(play(bundle, bundle.model, of.play, 1e30))
    assert {"risk", "rul", "anomaly", "contribution", "learned"} == set(played[0][0].outputs)
    assert "## The head `anomaly`" in read(tmp_path / "0" / "small-0.1.0.fwb").card
    for one, other in zip(*played, strict=True):
        assert one.risk.tobytes() == other.risk.tobytes()
        assert one.rul.tobytes() == other.rul.tobytes()
    stages = re.findall(r"^\[\d+:\d\d\] (the net|charts|trains|calibrates|plays|writes)", capsys.readouterr().err, re.M)
    of_risk = ["trains", "calibrates", "plays", "plays", "plays", "writes"]
    of_both = ["the net", "charts", "trains", "calibrates", "plays", "plays", "plays", "plays", "writes"]
    assert stages == of_both + of_risk, "a line a stage, where standard error is no terminal"


def test_a_chart_of_events_without_a_channel_of_them_is_refused_before_the_training() -> None:
    asked = SETTINGS.model_copy(update={"charts": (ChartKeys(residual="event", ahead=24, rate=0.1),)})
    with pytest.raises(ConfigurationRefused, match=r"nothing was trained: .*has one of events, but no channel counts"):
        rehearse(plant(anomaly=asked), parts(), "0" * 64)


def test_devices_that_leave_what_they_showed_while_they_learnt_are_told() -> None:
    """One that drifts and never comes back; a fault of a tenth of the rows, or less, is none."""
    assert notes_on_learning(plant(), parts()) == []
    of, worn = parts(), parts().fit[0]
    brief, drift = worn.x.copy(), worn.x + np.float32(0.1) * np.arange(len(worn.x), dtype=np.float32)[:, None]
    brief[300:330] += 30
    assert notes_on_learning(plant(), replace(of, calibrate=(replace(worn, x=brief),))) == []
    (note,) = notes_on_learning(plant(), replace(of, calibrate=(replace(worn, x=drift),)))
    assert re.match(r"device 'm0' has left what the first 60 rows showed: of 'm0', (7|8|9)\d% of the later", note)
    assert note.endswith("anomaly.learning must be longer, so that it holds a whole duty cycle")


def test_devices_beyond_what_a_chart_follows_are_told() -> None:
    """One that leaves so fast that its own deviations grow with it, and one whose values are in other units."""
    of = parts()
    flees = replace(of.play[0], x=of.play[0].x + np.float32(0.5) * np.arange(400, dtype=np.float32)[:, None])
    (left,) = notes_on_learning(plant(), replace(of, play=(flees,)))
    assert left.startswith("device 'm7' has left what the first 60 rows showed: of 'm7', ")
    pascals = replace(of.calibrate[0], x=of.calibrate[0].x + np.float32([0, 0, 1e5]))
    (beyond,) = notes_on_learning(plant(), replace(of, calibrate=(pascals, *of.calibrate[1:])))
    assert beyond.startswith("device 'm4' has values so far from those of the fit devices that no chart follows them")
    assert "of 'm4', channel 'Ps30' is 30 of their deviations away or more in 100% of the normal rows" in beyond
    assert beyond.endswith("Is it in other units? Else fit on such devices, too")


def labelled(one: History) -> History:
    """A fault of an hour, which the recording names."""
    x = one.x.copy()
    x[300:360] += 4
    return replace(one, x=x, faults=np.array([[60.0 * 300, 60.0 * 360]]))


@pytest.mark.slow
def test_labelled_machines_choose_and_what_they_chose_is_said() -> None:
    """Of seven machines with an hour of fault each."""
    of = parts(cycle=0)
    struck = [labelled(one) for one in (*of.fit, *of.calibrate)]
    found = learn(plant(), Parts(tuple(struck[:4]), tuple(struck[4:]), of.play))
    assert "of 7 labelled machines" in found.choice.why
    assert found.choice.charts == found.model.bank.charts
    assert len(found.model.scales) == len(found.model.bank.pools) == len(found.choice.charts)
    assert found.judged[0].shape[1] == len(found.choice.charts)


def test_shares_are_those_of_the_rows_over_the_threshold() -> None:
    charts = np.zeros((1000, 2))
    charts[:300, 0], charts[300:400, 1] = 2, 9
    head = Learnt(rehearsed(plant(), parts()).model, (charts,), [], Choice((), {}, ""))
    assert head.shares(1.0) == (0.75, 0.25)
    assert head.shares(5.0) == (0.0, 1.0)
    assert head.shares(50.0) == (0.0, 1.0), "none is over it, so the highest rows tell"


LEVEL = SETTINGS.model_copy(update={"charts": (ChartKeys(residual="level", rate=0.2),)})


@pytest.mark.slow
def test_labelled_faults_teach_nothing_and_choose_the_threshold() -> None:
    of = parts(cycle=0)
    of = Parts(tuple(map(labelled, of.fit)), tuple(map(labelled, of.calibrate)), of.play)
    config = plant(anomaly=LEVEL)
    head, clean = learn(config, of), learn(config, parts(cycle=0))
    assert head.model.forecaster is None
    assert head.model.scales[0] == pytest.approx(clean.model.scales[0], rel=0.5)
    table, said = anomaly_table(new_bundle(config, of, None, "0" * 64, head), of.calibrate, config)
    assert (table.basis, table.failures, said) == ("intervals", 3, "")
    assert table.rows[-1].detected == 0, "it lies far above all that was seen"
    assert max(row.detected for row in table.rows if not row.false_alarms) == 3


@pytest.mark.slow
def test_a_fault_that_nobody_labelled_is_left_out_of_a_blind_threshold_and_named() -> None:
    of = parts(cycle=0)
    calibrate = [device(30 + number, 1500, cycle=0) for number in range(3)]
    calibrate[0].x[900:960] += 8
    of, config = replace(of, calibrate=tuple(calibrate)), plant(anomaly=LEVEL)
    head = learn(config, of)
    table, said = anomaly_table(new_bundle(config, of, None, "0" * 64, head), of.calibrate, config)
    assert table.basis == "normal"
    assert "1 incident in the calibration time looks like a fault" in said
    assert "m30" in said


def test_a_channel_that_stands_still_in_the_fit_devices_is_followed_by_no_chart() -> None:
    of = parts()
    for one in of.fit:
        one.x[:, 2] = 5
    assert Pooled.of(of.fit, plant()).sensors.tolist() == [True, True, False]
    for one in of.fit:
        one.x[:] = 5
    with pytest.raises(DataRefused, match="no channel varies"):
        Pooled.of(of.fit, plant())
