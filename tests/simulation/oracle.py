"""What must hold of a history when all is delivered and told, whatever happened in it."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from agent.core import Core
from agent.core.entries import Heartbeat, Messages
from agent.publish.message import event_message
from agent.publish.topic import Topics
from agent.receive.broker_drops import HANG_UPS_MAX
from agent.receive.nap import WINDOW
from agent.words import Quality
from tests.simulation import agent_parts
from tests.simulation.history import History
from tests.simulation.observed import Part

TOPICS = Topics.of("forewarn", agent_parts.NODE)
EVENTS, ALERTS = TOPICS.event, TOPICS.alerts.removesuffix("#")
HEAD = "risk"  # silence goes by when the agent listened, which its twin always does
TOLERANCE = 0.02  # of a risk whose state has forgotten how it began but for some 0.4 %
Sent = tuple[str, bytes]  # topic and payload


@dataclass(frozen=True, slots=True)
class Row:
    """A score: by which place in the timeline, of whom, how good, and the risks."""

    place: int
    device: str
    quality: Quality
    risk: tuple[float, ...]


def judge(history: History) -> list[str]:
    """What does not hold, in words; nothing where all is well."""
    if history.sins or history.broker.record.sins:
        return [*history.sins, *history.broker.record.sins]
    wrong = [*_told(history), *_retained(history), *_drops_seen(history)]
    if history.what.mode == "journal":
        wrong += _as_one_life(history)
    else:
        wrong += _as_far_as_known(history)
    return wrong


# What was told ----------------------------------------------------------------------------------------------------


def _heard(history: History) -> tuple[dict[tuple[str, int], bytes], list[tuple[str, int]], list[str]]:
    """Events by id and sequence, as they came first; the same in their order; what was told in two ways."""
    payloads: dict[tuple[str, int], bytes] = {}
    order, wrong = [], []
    for message in history.broker.record.heard:
        if message.topic != EVENTS:
            continue
        said = json.loads(message.payload)
        which = said["alert"], said["sequence"]
        if which not in payloads:
            payloads[which] = message.payload
            order.append(which)
        elif payloads[which] != message.payload:
            wrong.append(f"{which} is told in two ways: {payloads[which]!r} and {message.payload!r}")
    return payloads, order, wrong


def _told(history: History) -> Iterator[str]:
    """Each event of each alert of the table is heard, nothing else is, and those of an alert in their order."""
    payloads, order, wrong = _heard(history)
    yield from wrong
    committed = {(event.alert, number) for event in history.alerts for number in range(1, event.sequence + 1)}
    for event, count in history.commits.items():
        if count > 1:
            yield f"{event!r} was put into the outbox {count} times"
    for which in sorted(committed - payloads.keys()):
        yield f"{which} was committed, and nobody heard of it"
    for which in sorted(payloads.keys() - committed):
        yield f"{which} was heard, and the table does not know it: {payloads[which]!r}"
    newest: dict[object, tuple[str, int]] = {}
    stands: dict[object, str] = {}
    for alert, sequence in order:
        said = json.loads(payloads[alert, sequence])
        key = said["source"], said["device"], said["model"], said["head"]
        before = newest.get(key)
        if before is not None and before[0] == alert and sequence < before[1]:
            yield f"{alert} {sequence} came after {before[1]}"
        if said["event"] == "raised" and key in stands:
            yield f"{alert} of {key} is raised while {stands[key]} stands"
        if said["event"] == "cleared":
            stands.pop(key, None)
        else:
            stands[key] = alert
        newest[key] = alert, sequence


def _retained(history: History) -> Iterator[str]:
    """What the broker retains is what stands in the table."""
    there = {topic: m.payload for topic, m in history.broker.retained.items() if topic.startswith(ALERTS)}
    stands = {TOPICS.alert(*event.key): event_message(event) for event in history.standing}
    for topic in sorted(there.keys() | stands.keys()):
        if there.get(topic) != stands.get(topic):
            yield f"{topic} is retained as {there.get(topic)!r}, the table has {stands.get(topic)!r}"


# Journal mode -----------------------------------------------------------------------------------------------------


def _as_one_life(history: History) -> Iterator[str]:
    """A twin that takes the surviving log in one life has the same state, and says the same."""
    twin, parts = _twin(history, range(len(history.timeline)))
    events = {(event.alert, event.sequence): event_message(event) for part in parts for event in part.taken.alerts}
    payloads, _, _ = _heard(history)
    for which in sorted(events.keys() | payloads.keys()):
        if events.get(which) != payloads.get(which):
            yield f"{which}: the twin says {events.get(which)!r}, the agent {payloads.get(which)!r}"
    if twin.snapshot() != history.final:
        yield "the final state is not the twin's"
    yield from _taken_once(history)
    yield from _losses_seen(history, [row for part in parts for row in _rows(part)])


def _taken_once(history: History) -> Iterator[str]:
    """What the broker was told is taken has been taken, and nothing was taken more often than it was sent anew."""
    record = history.broker.record
    taken = Counter(item[:2] for item in history.timeline if isinstance(item, tuple))
    for sent, n_acked in record.acked.items():
        if n_acked and not taken[sent] and not _is_dropped_at_once(sent):
            yield f"{sent} was acknowledged, and is not in the log"
    for sent, n_taken in taken.items():
        if n_taken > record.sent[sent]:
            yield f"{sent} was taken {n_taken} times, and sent anew {record.sent[sent]} times"


def _is_dropped_at_once(sent: Sent) -> bool:
    return len(sent[1]) > agent_parts.PAYLOAD_BYTES_MAX


# Snapshot mode ----------------------------------------------------------------------------------------------------


def _as_far_as_known(history: History) -> Iterator[str]:
    """No raise that the twin has not, and `ok` only with the twin's score.

    A command that is lost with the process is as if it had not been sent, and so is one for a machine that the restored
    state has not: only the twin knows that it is new.

    Where the wall was set back before a life, and no snapshot tells it of the time before, the twin takes the rows of
    that life as late ones and drops them. So they are compared with nothing: 25 of 1,399 lives of 600 seeds.
    """
    _, parts = _twin(history, [at for at, item in enumerate(history.timeline) if isinstance(item, tuple | Heartbeat)])
    twins = {row.place: row for part in parts for row in _rows(part)}
    stands = _stands(parts, len(history.timeline))
    threshold = history.plan.models[0].heads["risk"].chosen.threshold
    horizon = agent_parts.bundle().manifest.judge.horizon
    remade = (_commanded(history) - history.intervened) | history.unheard
    rows: list[Row] = []
    newest_ns = 0  # time of arrival, of all lives so far
    for life in history.lives:
        of_life = [row for part in life for row in _rows(part)]
        rows += of_life
        times_ns = [*_arrival_times_ns(life)]
        is_set_back = bool(times_ns) and times_ns[0] < newest_ns
        newest_ns = max([newest_ns, *times_ns])
        if is_set_back:
            continue
        yield from _is_ok_as([row for row in of_life if row.device not in remade], twins)
        for part in life:
            for event in part.taken.alerts:
                place = part.place + event.entry - part.number
                if event.kind != "raised" or event.head != HEAD or event.device in remade:
                    continue
                other, has_alert = twins.get(place), stands[event.device][place]
                if not has_alert and (other is None or abs(other.risk[horizon] - threshold) > TOLERANCE):
                    yield f"{event.device} is raised at place {place}, the twin has {other} and no alert"
    yield from _first_rows_doubted(history, rows)
    yield from _losses_seen(history, rows)


def _arrival_times_ns(life: Sequence[Part]) -> Iterator[int]:
    for part in life:
        if isinstance(part.entry, Messages):
            yield from part.entry.arrived_ns
        elif isinstance(part.entry, Heartbeat):
            yield part.entry.log_time_ns


def _commanded(history: History) -> set[str]:
    """Devices of the commands that were taken."""
    commands = [item for item in history.timeline if isinstance(item, tuple) and "/cmd/" in item[0]]
    return {json.loads(payload)["device"] for _, payload, *_ in commands}


def _is_ok_as(rows: Sequence[Row], twins: Mapping[int, Row]) -> Iterator[str]:
    for row in rows:
        if row.quality is not Quality.OK:
            continue
        other = twins.get(row.place)
        if other is None:
            yield f"{row} is ok, and the twin has not taken it"
        elif not np.allclose(row.risk, other.risk, rtol=0, atol=TOLERANCE):
            yield f"{row} is ok, and the twin says {other}"


def _first_rows_doubted(history: History, rows: Sequence[Row]) -> Iterator[str]:
    """Sessions end with their connection: the first row of a device that comes by another one is not `ok`."""
    newest: dict[str, set[int]] = {}
    for row in rows:
        topic, payload, *_ = history.timeline[row.place]  # type: ignore[misc]
        by = history.broker.record.by[topic, payload]
        if row.quality is Quality.OK and by.isdisjoint(newest.get(row.device, by)):
            yield f"{row} is the first one by connection {by}, and ok"
        newest[row.device] = by


def _stands(parts: Sequence[Part], n: int) -> Mapping[str, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """By device, whether its alert stands at each place of the timeline, bool [n]."""
    stands: defaultdict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]] = defaultdict(lambda: np.zeros(n, np.bool_))
    for part in parts:
        for event in (event for event in part.taken.alerts if event.head == HEAD):
            stands[event.device][part.place + event.entry - part.number :] = event.kind != "cleared"
    return stands


# Both -------------------------------------------------------------------------------------------------------------


def _drops_seen(history: History) -> Iterator[str]:
    """What the broker says to have dropped is known, and a `gap` of each source where it was the agent's.

    A broker with a smaller window than mosquitto's may give no sign that it was (docs/decisions/0025).
    """
    broker, drops = history.broker, history.drops
    if drops is None or drops._hung_up >= HANG_UPS_MAX:  # cut by chance: it asks no more, and says so in `limits`
        return
    if broker.n_dropped and drops._newest != broker.n_dropped:
        yield f"the broker has dropped {broker.n_dropped} messages, the agent knows of {drops._newest}"
    if broker.record.dropped_ns >= 0 and broker.habits.window >= WINDOW:
        for source in history.plan.sources:
            if not history.losses.covers(source.name, broker.record.dropped_ns):
                yield f"messages were dropped, and no gap of {source.name} follows"


def _losses_seen(history: History, rows: Sequence[Row]) -> Iterator[str]:
    """Where messages of a device are missing, its next row is not `ok`.

    What the broker drops from its queue it says later, for all its clients together, and not of whom (agent/receive/
    broker_drops.py). What a broker forgets that says it has forgotten nothing, nobody can see.
    """
    by_place = {row.place: row for row in rows}
    places: dict[Sent, int] = {}
    for place, item in enumerate(history.timeline):
        if isinstance(item, tuple):
            places.setdefault(item[:2], place)
    unseen = history.broker.record.unseen.union(history.broker.record.dropped)
    is_missing: dict[str, list[Sent]] = {}
    for sent in history.published:
        topic = sent[0]
        if sent not in places:
            if sent not in unseen and not _is_dropped_at_once(sent):
                is_missing.setdefault(topic, []).append(sent)
            continue
        row = by_place.get(places[sent])
        if row is None or topic not in is_missing:
            continue
        lost = is_missing.pop(topic)
        if row.quality is Quality.OK:
            yield f"{row} is ok, and {len(lost)} messages before it are missing, the last one {lost[-1]}"


def _twin(history: History, places: Sequence[int]) -> tuple[Core, list[Part]]:
    """A core that takes what stands at these places of the timeline in one life, split anyhow, and what it gave."""
    twin = agent_parts.core(history.settings, history.plan)
    rng = Random(history.what.seed)
    parts: list[Part] = []
    at = 0
    while at < len(places):
        item = history.timeline[places[at]]
        end = at + 1
        if not isinstance(item, tuple):
            parts.append(Part(twin.entry, places[at], item, twin.apply(item)))
        else:
            most = at + rng.randint(1, 60)
            while end < min(most, len(places)) and _follows(history, places[end - 1], places[end]):
                end += 1
            items = [history.timeline[place] for place in places[at:end]]
            topics, payloads, arrived_ns, among = zip(*items, strict=True)  # type: ignore[arg-type]
            entry = Messages(topics, payloads, arrived_ns, among[0])
            parts.append(Part(twin.entry, places[at], entry, twin.apply(entry)))
        at = end
    return twin, parts


def _follows(history: History, place: int, next_place: int) -> bool:
    """Whether the message at the next place may be taken with that at `place`."""
    one, other = history.timeline[place], history.timeline[next_place]
    return next_place == place + 1 and isinstance(one, tuple) and isinstance(other, tuple) and one[3] == other[3]


def _rows(part: Part) -> Iterator[Row]:
    """What was scored, of one model."""
    for scores in part.taken.scores:
        for row, entry in enumerate(scores.entry.tolist()):
            yield Row(
                part.place + entry - part.number,
                str(scores.device[row]),
                Quality(scores.quality[row]),
                tuple(scores.outputs["risk"][row].tolist()),
            )
