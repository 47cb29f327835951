"""The campaign of `make crash`: a short one breaks no law, and what would break it is found."""

import pytest

from tests.broker.crash_campaign import BOTH, FLEET, STARTING, Campaign, Tally, judge_events

LIFE = [
    {"device": "p1", "alert": "a", "sequence": 1, "event": "raised"},
    {"device": "p1", "alert": "a", "sequence": 2, "event": "updated"},
    {"device": "p1", "alert": "a", "sequence": 3, "event": "cleared"},
    {"device": "p1", "alert": "b", "sequence": 1, "event": "raised"},
]


def judged(events, committed=()):
    tally = Tally()
    judge_events(tally, events, set(committed))
    return tally


def test_whole_lives_and_what_is_said_twice_the_same_are_no_fault():
    tally = judged([LIFE[0], *LIFE, LIFE[2]], [("a", 3), ("b", 1)])
    assert tally.said == []
    assert tally.repeated == 2
    assert tally.events == {"raised": 2, "updated": 1, "cleared": 1}


@pytest.mark.parametrize(
    ("events", "committed", "fault"),
    [
        ([*LIFE[:2], LIFE[3]], [], "doubled"),
        ([LIFE[0], LIFE[2]], [], "lost"),
        (LIFE[1:], [], "lost"),
        (LIFE[:1], [("a", 2)], "lost"),
        ([*LIFE, {**LIFE[0], "device": "p2"}], [], "changed"),
    ],
)
def test_each_breach_is_found(events, committed, fault):
    assert judged(events, committed).faults == {fault: 1}


@pytest.mark.slow
def test_a_short_campaign_breaks_no_law(broker, tmp_path):
    """Two rounds, with a kill of all and one while it starts: `make crash` does fifty."""
    campaign = Campaign(tmp_path, seed=5)
    campaign.run(2)
    assert campaign.tally.said == []
    assert campaign.tally.gaps == 2 * len(FLEET)
    assert campaign.tally.kills == {BOTH: 1, STARTING: 1}
