"""Law 2 under attack: a message that means harm counts one reason at most, and a healthy device is as without it."""

import pytest

from agent.decode.codec import CODECS
from tests.hostile import DEVICE, FOLDERS, HostileCase, cases_of, core_of, source_of
from tests.streams import bytes_of, core, life, take

NOW_NS = 1_795_814_327 * 10**9
HEALTHY = life("n1", 40)
ALONE = bytes_of(take(core(), HEALTHY), "n1")
ALL = [case for folder in FOLDERS if source_of(folder).codec in CODECS for case in cases_of(folder)]


def test_every_codec_has_hostile_payloads():
    assert {source_of(folder).codec for folder in FOLDERS} >= set(CODECS)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_a_hostile_message_counts_one_reason_and_touches_nobody(case: HostileCase):
    agent = core_of(source_of(case.folder))
    taken = take(agent, [*HEALTHY[:20], (case.topic, case.payload), *HEALTHY[20:]], arrived_ns=NOW_NS)
    counts = {reason: count for (_, reason), count in agent.counts.items()}
    assert counts == case.counts
    assert sum(counts.values()) <= 1
    assert bytes_of(taken, "n1") == ALONE
    assert all(drop.detail and len(drop.detail) < 70_000 for drop in taken.drops)


@pytest.mark.parametrize("folder", [one for one in FOLDERS if source_of(one).codec in CODECS])
def test_hostile_messages_count_the_same_together(folder):
    """All of a folder in one read, each of a device of its own where the topic names it."""
    agent = core_of(source_of(folder))
    cases = list(cases_of(folder))
    messages = [(of_its_own(case.topic, number), case.payload) for number, case in enumerate(cases)]
    taken = take(agent, [*HEALTHY[:20], *messages, *HEALTHY[20:]], arrived_ns=NOW_NS)
    assert bytes_of(taken, "n1") == ALONE
    assert agent.counts.total() == sum(sum(case.counts.values()) for case in cases)


def of_its_own(topic: str, number: int) -> str:
    return topic.replace(f"/{DEVICE}", f"/{DEVICE}{number}").replace("/g/", f"/g{number}/")
