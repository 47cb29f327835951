"""The campaign of `make faults`: a short one breaks no law, and what would break it is found."""

import json

import pytest

from tests.broker.listener import Heard
from tests.broker.running_agent import ROOT
from tests.bundles import write_small_bundle
from tests.faults.campaign import VARIANTS, Campaign
from tests.faults.oracle import SCORE, Oracle, Tally
from tests.faults.twin import Twin
from tests.streams import life


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("variant", "kills", "broker_kills"), [(VARIANTS[1], 4, 2), (VARIANTS[2], 2, 2)])
def test_a_short_campaign_is_as_its_twin(broker, tmp_path, variant, kills, broker_kills):
    """Ten kills, with times and without: `make faults` does two hundred of each."""
    campaign = Campaign(tmp_path / "campaign", 3, variant)
    campaign.run(kills, broker_kills)
    assert campaign.tally.said == []
    assert campaign.tally.counts["events raised"] > 0


def heard_of(twin: Twin, device: str) -> list[Heard]:
    scores = [Heard(f"{SCORE}{device}", payload, False) for payload in twin.scores[device]]
    return scores + [Heard(f"{ROOT}/event", json.dumps(event).encode(), False) for event in twin.events[device]]


def changed(one: Heard, **changes: object) -> Heard:
    return Heard(one.topic, json.dumps(json.loads(one.payload) | changes).encode(), False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda heard: [*heard, heard[30]],
        lambda heard: [changed(heard[30], quality="gap"), *heard[31:]],
        lambda heard: heard[:-1],
        lambda heard: [*heard[:-1], changed(heard[-1], alert="another")],
        lambda heard: [*heard, changed(heard[-1], severity="warning")],
    ],
    ids=["a score twice", "another score", "an event missing", "another id", "an event in two ways"],
)
def test_each_breach_is_found(tmp_path, spoil):
    twin = Twin(write_small_bundle(tmp_path / "small.fwb"))
    twin.take(life("p1", 60))
    for change, is_broken in ((lambda heard: heard, False), (spoil, True)):
        tally = Tally()
        oracle = Oracle(twin, tally, has_time=True)
        heard = change(heard_of(twin, "p1"))
        oracle.compare_scores(heard, newest=1)
        oracle.compare_events(heard)
        assert bool(tally.said) == is_broken
