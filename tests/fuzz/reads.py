"""What messages become in an `Intake`, message by message, and what must hold of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agent.decode.intake import Intake
from agent.decode.topic import device_id_problem
from agent.reasons import REASONS
from agent.sources import Source
from agent.values.times import T_NS_MAX
from tests.fuzz.costs import Costs
from tests.fuzz.target import Message

PAYLOAD_BYTES_MAX = 65_536
DEVICE_ID_BYTES_MAX = 128
OF_WHOLE = {"empty", "malformed", "too_large", "too_many_readings", "no_source", "topic"}


class Outcome(NamedTuple):
    """What one message became.

    rows           source, device, event time, bytes of the channels
    drops          source, device, reason, detail; doubts too
    interventions  source, device, event time, kind
    """

    rows: list[tuple[int, str, int, bytes]]
    drops: list[tuple[int, str, str, str]]
    interventions: list[tuple[int, str, int, str]]


Requests = list[tuple[int, tuple[str, bytes]]]


def new_intake(sources: Sequence[Source]) -> Intake:
    return Intake(sources, payload_bytes_max=PAYLOAD_BYTES_MAX, device_id_bytes_max=DEVICE_ID_BYTES_MAX)


def read(intake: Intake, messages: Sequence[Message]) -> tuple[list[Outcome], Requests]:
    """What each of the messages of one read became; raises AssertionError for what no codec may give."""
    topics, payloads, arrived_ns = ([*column] for column in zip(*messages, strict=True))
    readings = intake.read(topics, payloads, np.array(arrived_ns, np.int64))
    found = [Outcome([], [], []) for _ in messages]
    assert (np.diff(readings.message) >= 0).all()
    assert ((readings.t_ns >= 0) & (readings.t_ns < T_NS_MAX)).all()
    assert not np.isnan(readings.x).all(axis=1).any()
    columns = (readings.message.tolist(), readings.source.tolist(), readings.device, readings.t_ns.tolist(), readings.x)
    for message, source, device, t_ns, x in zip(*columns, strict=True):
        assert not device_id_problem(device, DEVICE_ID_BYTES_MAX)
        found[message].rows.append((source, device, t_ns, x.tobytes()))
    for group in readings.drops:
        for place, message in enumerate(group.message.tolist()):
            detail = group.detail(*(column[place] for column in group.values))
            found[message].drops.append((int(group.source[place]), str(group.device[place]), group.reason, detail))
    for message, *intervention in readings.interventions:
        found[message].interventions.append(tuple(intervention))
    for outcome in found:
        outcome.drops.sort()
    return found, [*readings.requests]


def check_fate(outcome: Outcome, *, of_others: bool) -> None:
    """A message that is not used says why, once; one that is used has at most one doubt.

    of_others  messages may say nothing, such as births, and tell what became of others that waited for them
    """
    doubts = [reason for _, _, reason, _ in outcome.drops if REASONS[reason].is_used]
    dropped = [reason for _, _, reason, _ in outcome.drops if not REASONS[reason].is_used]
    of_whole = set() if of_others else OF_WHOLE.intersection(dropped)
    if outcome.rows or outcome.interventions:
        assert len(doubts) <= 1, f"two doubts of one message: {doubts}"
        assert not of_whole, f"a message is used and dropped: {dropped}"
        return
    assert not doubts, f"doubts of a message that is not used: {doubts}"
    assert dropped or of_others, "a message is lost without a word"
    assert not of_whole or len(dropped) == 1, f"a message is dropped twice: {dropped}"


def check_stateless(
    intake: Intake, messages: Sequence[Message], healthy: tuple[Message, Outcome], costs: Costs
) -> None:
    """Each message is the same alone, twice in one read with the others, and beside a healthy one, which stays."""
    alone = []
    for message in messages:
        ((outcome,), requests) = costs.of(lambda message=message: lambda: read(intake, [message]))
        assert not requests
        check_fate(outcome, of_others=False)
        alone.append(outcome)
    neighbour, expected = healthy
    joined, _ = read(intake, [neighbour, *messages, neighbour, *reversed(messages)])
    assert joined == [expected, *alone, expected, *reversed(alone)]


def check_remembering(
    sources: Sequence[Source], messages: Sequence[Message], neighbour: Sequence[Message], costs: Costs
) -> None:
    """Reads of one message each by an intake restored from the one before, and one read of all, give the same.

    The messages of a healthy neighbour come between the others, and their readings are what they are without them; the
    end of a message that waited too long is told with whichever comes next.
    """
    mixed = _between(messages, neighbour)
    kept: dict[str, bytes] = {}
    alone: list[Outcome] = []
    asked: Requests = []
    for message in mixed:
        intake = new_intake(sources)

        def restored(intake: Intake = intake, kept: dict[str, bytes] = kept, message: Message = message):
            intake.restore(kept)
            return lambda: read(intake, [message])

        (outcome,), requests = costs.of(restored)
        check_fate(outcome, of_others=True)
        alone.append(outcome)
        asked += requests
        kept = intake.keep()
    at_once = new_intake(sources)
    joined, requests = read(at_once, mixed)
    assert joined == alone
    assert requests == asked
    assert at_once.keep() == kept
    only, _ = read(new_intake(sources), neighbour)
    topics = {message.topic for message in neighbour}
    beside = [outcome.rows for message, outcome in zip(mixed, joined, strict=True) if message.topic in topics]
    assert beside == [outcome.rows for outcome in only]


def _between(messages: Sequence[Message], neighbour: Sequence[Message]) -> list[Message]:
    """The neighbour's messages between the others, in the order of their arrival."""
    return sorted((*messages, *neighbour), key=lambda one: one.arrived_ns)
