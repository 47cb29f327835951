"""The laws for a bundle as users have it: fitted from a recording, with both heads and events among its inputs, on
machines whose rows come irregularly."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

from agent.core import Bounds
from agent.core.entries import AlertsKept, HistoryLost
from agent.replay.inline import PlayedDevice, play_inline
from agent.replay.messages import source_for, stream
from agent.words import Quality, Taken
from tests.laws.fitted import HOUR_AFTER, N_MACHINES, Fitted, Sent, fitted, take
from tests.laws.test_isolation import HOSTILE_PAYLOADS
from trainer.evaluation.playback import play

pytestmark = pytest.mark.slow

MACHINES = [f"m{number}" for number in range(N_MACHINES)]
ALERT = ("head", "kind", "t_ns", "severity", "outputs")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return fitted(tmp_path_factory.mktemp("plant"))


@pytest.fixture(scope="module")
def live(plant: Fitted) -> Taken:
    """All that was sent, in one call."""
    return take(plant.core(), plant.sent)


def told(parts: Sequence[Taken], device: str) -> list[bytes]:
    """Times, quality and outputs of a device's rows, and its alerts, as bytes."""
    scores = [part.scores[0] for part in parts]
    mine = [one.device == device for one in scores]
    columns = [
        [one.t_ns for one in scores],
        [one.quality for one in scores],
        *([one.outputs[name] for one in scores] for name in scores[0].outputs),
    ]
    events = [event for part in parts for event in part.alerts if event.device == device]
    alerts = [[getattr(event, name) for name in ALERT] for event in events]
    return [*(_joined(column, mine) for column in columns), repr(alerts).encode()]


def _joined(column: Sequence[np.ndarray], mine: Sequence[np.ndarray]) -> bytes:
    return np.concatenate([part[which] for part, which in zip(column, mine, strict=True)]).tobytes()


def played(one: PlayedDevice) -> list[bytes]:
    """The same of a replay."""
    alerts = [[getattr(event, name) for name in ALERT] for event in one.events]
    columns = (one.t_ns, one.quality, *one.outputs.values())
    return [*(column.tobytes() for column in columns), repr(alerts).encode()]


def test_both_heads_raise_and_events_are_inputs(plant: Fitted, live: Taken) -> None:
    """Or the tests below would hold nothing."""
    assert [*plant.bundle.manifest.judging] == ["risk", "anomaly"]
    assert [channel.event for channel in plant.bundle.manifest.channels] == [False, False, True]
    assert plant.bundle.manifest.anomaly is not None
    assert [chart.residual for chart in plant.bundle.manifest.anomaly.charts] == ["event", "forecast", "smoothing"]
    assert {(event.head, event.kind) for event in live.alerts} >= {("risk", "raised"), ("anomaly", "raised")}
    assert "counts of events among them: error3" in (plant.out / "fit.txt").read_text()


def test_rows_of_the_trainer_are_those_of_the_agent(plant: Fitted, live: Taken) -> None:
    """Jitter, gaps, a missing hour, and what happened between two rows: live, recorded, and as `fit` read it."""
    assert [one.device for one in plant.histories] == [one.device for one in plant.recorded] == MACHINES
    device, t_ns = (np.concatenate([getattr(rows, name) for rows in live.rows]) for name in ("device", "t_ns"))
    x = np.concatenate([rows.x for rows in live.rows])
    for history, one in zip(plant.histories, plant.recorded, strict=True):
        mine = device == one.device
        assert t_ns[mine].tobytes() == one.t_ns.tobytes() == history.t_ns.tobytes()
        assert x[mine].tobytes() == one.x.tobytes() == history.x.tobytes()
        assert history.x[:, 2].sum() > 3, "events"


def test_evaluation_replay_and_live_say_the_same(plant: Fitted, live: Taken) -> None:
    """Law 1: scores and alerts of both heads, to the bit."""
    bundle = plant.bundle
    rows = stream(plant.recorded, source_for(bundle.manifest, "recorded/{device}"))
    replayed = play_inline(bundle, bundle.model, rows, plant.thresholds)
    evaluated = play(bundle, bundle.model, plant.histories, plant.thresholds)
    for one, other in zip(replayed, evaluated, strict=True):
        assert played(one) == played(other) == told([live], one.device)


def test_learning_goes_on_after_a_missing_hour(plant: Fitted, live: Taken) -> None:
    """Within the learning it counts on; after it only what a forecast looks back on comes again."""
    assert plant.bundle.manifest.anomaly is not None
    learning = plant.bundle.manifest.anomaly.learning_rows
    (scores,) = live.scores
    for device, after in HOUR_AFTER.items():
        of = scores.device == device
        assert (np.diff(scores.t_ns[of]) > 3600e9).nonzero()[0].tolist() == [after - 1]
        assert scores.quality[of][after] in (Quality.GAP, Quality.WARMING_UP)
        anomaly = scores.outputs["anomaly"][of, 0]
        ahead = max(chart.ahead for chart in plant.bundle.manifest.anomaly.charts if chart.residual == "forecast")
        wait = np.maximum(learning - np.arange(len(anomaly)), 0)
        wait[after : after + ahead] = np.maximum(wait[after : after + ahead], ahead - np.arange(ahead))
        assert np.flatnonzero(anomaly < 0).tolist() == np.flatnonzero(wait).tolist()
        assert (anomaly[wait > 0] == -wait[wait > 0]).all()


@pytest.mark.parametrize("batch_max", [1, 17, 64])
def test_a_machine_is_told_the_same_alone_and_among_hostile_ones(plant: Fitted, live: Taken, batch_max: int) -> None:
    """Law 2, in batches of every size; the neighbours send what no machine does, under names of both topics."""
    mine = [one for one in plant.sent if "/m4/" in one[1]]
    alone = told([take(plant.core(Bounds(batch_max=batch_max)), mine)], "m4")
    assert alone == told([live], "m4")
    mixed = list(hostile([one for one in plant.sent if one[1].split("/")[1] in ("m3", "m4", "m5")]))
    assert told([take(plant.core(Bounds(batch_max=batch_max)), mixed)], "m4") == alone


def hostile(sent: Sequence[Sent]) -> Iterator[Sent]:
    """What was sent, and after every other message one of a machine that sends anything."""
    for number, one in enumerate(sent):
        yield one
        topic = f"plant/h{number % 70}/{'code' if number % 5 == 0 else 'row'}"
        if number % 4 == 0:
            yield one[0], topic, HOSTILE_PAYLOADS[number // 4 % len(HOSTILE_PAYLOADS)]
        elif number % 4 == 2:
            yield one[0], topic, one[2].replace(b'"flow"', b'"flow": 1e30, "was"') if number % 3 else one[2]


def test_any_split_and_a_snapshot_at_any_point_change_nothing(plant: Fitted, live: Taken) -> None:
    """Law 3 where nothing is lost: what the heads learn, their evidence and their alerts go on in another core."""
    into, parts = plant.core(), []
    places = [0, 1, 7, 40, 155, 156, 157, 700, 1300, 1301, len(plant.sent)]
    for start, end in pairwise(places):
        parts.append(take(into, plant.sent[start:end]))
        after = plant.core()
        assert after.restore(into.snapshot()) == {}
        into = after
    for device in MACHINES:
        assert told(parts, device) == told([live], device)


def test_a_crash_loses_no_alert_of_either_head_and_nothing_that_was_learnt(plant: Fitted, live: Taken) -> None:
    """Law 3: an older snapshot and the alert table; each head's alerts stand, none is raised again, and rows are as
    they were once the forecasts are back."""
    (place,) = [index for index, one in enumerate(plant.sent) if one[0] == last_row(live, "m0", 0.97)]
    first = plant.core()
    before = [take(first, plant.sent[: place - 100])]
    old = first.snapshot()
    before.append(take(first, plant.sent[place - 100 : place]))
    table = {(event.device, event.head): event for part in before for event in part.alerts}
    standing = [event for event in table.values() if event.state != "normal"]
    assert {event.head for event in standing} == {"risk", "anomaly"}

    again = plant.core()
    assert again.restore(old) == {}
    newest = {(event.source, event.device): (event.t_epoch, event.t_ns) for event in table.values()}
    again.apply(AlertsKept(standing, newest))
    again.apply(HistoryLost())
    assert again.view().n_standing() == len(standing)
    after = take(again, plant.sent[place:])
    of_table = {event.alert for event in table.values()}
    cleared = {event.alert for event in after.alerts if event.kind == "cleared"}
    for event in after.alerts:
        if event.kind == "raised":
            assert event.alert not in of_table
            assert {one.alert for one in standing if one.key == event.key} <= cleared, "it stood already"
    assert plant.bundle.manifest.anomaly is not None
    longest = max(chart.ahead for chart in plant.bundle.manifest.anomaly.charts)
    assert after.scores[0].outputs["anomaly"].min() >= -longest, "nothing is learnt again"


def last_row(live: Taken, device: str, share: float) -> int:
    """Event time of the row of a device that so much of its rows are before."""
    t_ns = live.scores[0].t_ns[live.scores[0].device == device]
    return int(t_ns[int(share * len(t_ns))])
