"""When more alerts are raised than people can answer one by one: a flood, after EEMUA 191 and ANSI/ISA-18.2.

Both call more than ten alarms in ten minutes for one operator a flood, which lasts until fewer than five come in ten
minutes. One cause, such as a power cut, raises the alerts of many devices, and a person needs one alert that names
them. So a flood is an alert of its own, of a whole source, which counts raises and names devices. Nothing is held back:
each alert stands and is told, and what is raised, or made severer, in a flood has its id as `group`, so that whoever
notifies people can leave it out.

It begins with the first raise that makes so many within the window, by log time, and ends at a tick. This is the one
place where alerts of several devices meet: it adds to what is said of an alert, and changes none.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

import msgspec

from agent.core.handling import Handling
from agent.core.marks import Key
from agent.judge import no_model
from agent.judge.events import HandledStep
from agent.judge.lifecycle import AlertRules, Trigger, next_state
from agent.judge.no_model import ALL_DEVICES, NO_MODEL
from agent.words import FLOOD, SEVERITIES, AlertEvent, AlertKey, Severity

DEVICES_MAX: Final = 1000  # are named of a flood; `raises` counts all
SAY_EVERY_NS: Final = 60 * 10**9
ENDS_AT_SHARE: Final = 0.5  # of the raises with which one begins

_RAISES: Final = ("raised", "recurred")
_Raise = tuple[int, str, Severity]  # log time, device, severity


class Flood(NamedTuple):
    """A flood that stands, by its newest event, and what was raised in it.

    n, severity  raises so far, and the highest of them; devices: the first of those whose they are
    said_ns, n_said  log time of the newest event that counts them, and what it said
    """

    event: AlertEvent
    n: int
    severity: Severity
    devices: dict[str, None]
    said_ns: int
    n_said: int


class KeptSource(NamedTuple):
    """What a snapshot has of one source: its newest raises, and the flood that stands, its devices as a list."""

    source: str
    raises: list[_Raise]
    flood: tuple[AlertEvent, int, Severity, list[str], int, int] | None


Kept = list[KeptSource]


def read_kept(data: bytes) -> Kept:
    """What `Floods.keep` wrote, b"" for nothing. Raises ValueError."""
    return msgspec.msgpack.decode(data, type=Kept) if data else []


class Floods:
    """Of all sources: their newest raises, and the floods that stand."""

    def __init__(self, sources: Sequence[str], rules: AlertRules, handling: Handling) -> None:
        self._sources = sources
        self._n = rules.flood_raises
        self._window_ns = round(rules.flood_window_s * 1e9)
        self._handling = handling
        self._raises: dict[str, list[_Raise]] = {}  # by source, the newest n
        self._floods: dict[Key, Flood] = {}

    @property
    def standing(self) -> dict[Key, AlertEvent]:
        """The newest event of each flood that stands, by source and no device."""
        return {key: flood.event for key, flood in self._floods.items()}

    def ids(self) -> dict[AlertKey, str]:
        """The id of each flood that stands."""
        return {flood.event.key: flood.event.alert for flood in self._floods.values()}

    def group(self, alerts: list[AlertEvent], log_time: Callable[[AlertEvent], int]) -> list[AlertEvent]:
        """The steps of alerts, with the floods that begin with them, and those in a flood marked; in their order."""
        if not self._n:
            return alerts
        return [event for alert in alerts for event in self._take(alert, log_time)]

    def tick(self, tick_ns: int, entry: int) -> list[AlertEvent]:
        """What is to be said of floods at the tick of log time tick_ns: which are over, and how many they count now."""
        return [event for key in [*self._floods] if (event := self._advance(key, tick_ns, entry)) is not None]

    def handle(self, key: Key, trigger: Trigger | None, step: HandledStep) -> AlertEvent:
        """What a person does with a flood that stands; see `JudgedHead.handle`."""
        flood = self._floods[key]
        event = self._handling.as_shown(no_model.handled(flood.event, trigger, step))
        self._floods[key] = flood._replace(event=event)
        return event

    def adopt(self, standing: Iterable[AlertEvent], log_time_ns: int) -> None:
        """The floods that stand are those of the alert table; one that the snapshot does not know lasts a window."""
        before, self._floods = self._floods, {}
        for event in standing:
            key = event.source, event.device
            at_ns = max(log_time_ns, event.t_ns)
            n = round(event.outputs.get(FLOOD, (self._n, 0.0))[0])
            flood = before.get(key)
            if flood is None or flood.event.alert != event.alert:
                flood = Flood(event, n, event.severity, dict.fromkeys(event.devices), at_ns, n)
                self._raises[event.source] = [(at_ns, "", event.severity)] * self._n
            elif n > flood.n:  # the table is newer than the snapshot
                devices = dict.fromkeys((*flood.devices, *event.devices))
                flood = flood._replace(n=n, n_said=n, devices=dict.fromkeys([*devices][:DEVICES_MAX]))
            self._floods[key] = flood._replace(event=event, severity=_higher(flood.severity, event.severity))

    def keep(self) -> Callable[[], bytes]:
        """What packs them as they are now; b"" for nothing."""
        kept = []
        for source in dict.fromkeys([*self._raises, *(source for source, _ in self._floods)]):
            flood = self._floods.get((source, ALL_DEVICES))
            of_flood = None if flood is None else flood._replace(devices=[*flood.devices])  # type: ignore[arg-type]
            kept.append((source, [*self._raises.get(source, [])], of_flood))
        return partial(msgspec.msgpack.encode, kept) if kept else bytes

    def restore(self, kept: Kept) -> None:
        """Take over what was kept."""
        self._raises = {source: raises for source, raises, _ in kept if raises}
        self._floods = {
            (source, ALL_DEVICES): Flood(*flood[:3], dict.fromkeys(flood[3]), *flood[4:])
            for source, _, flood in kept
            if flood is not None
        }

    # The rest is the way inside ---------------------------------------------------------------------------------

    def _take(self, alert: AlertEvent, log_time: Callable[[AlertEvent], int]) -> Iterator[AlertEvent]:
        key = alert.source, ALL_DEVICES
        if alert.device == ALL_DEVICES or alert.kind not in (*_RAISES, "updated"):
            yield alert
            return
        if alert.kind in _RAISES:
            yield from self._count(key, alert, log_time(alert))
        flood = self._floods.get(key)
        if flood is None or self._is_hidden(key):  # else nobody would be told
            yield alert
            return
        self._floods[key] = flood._replace(severity=_higher(flood.severity, alert.severity))
        yield msgspec.structs.replace(alert, group=flood.event.alert)

    def _count(self, key: Key, alert: AlertEvent, at_ns: int) -> Iterator[AlertEvent]:
        """One raise more: a flood that begins with it comes before it."""
        raises = self._raises.setdefault(alert.source, [])
        raises.append((at_ns, alert.device, alert.severity))
        del raises[: -self._n]
        flood = self._floods.get(key)
        if flood is not None:
            if len(flood.devices) < DEVICES_MAX:
                flood.devices[alert.device] = None
            self._floods[key] = flood._replace(n=flood.n + 1)
        elif self._n_recent(alert.source, at_ns) >= self._n and not self._is_hidden(key):
            severity = max((severity for *_, severity in raises), key=SEVERITIES.index)
            devices = dict.fromkeys([device for _, device, _ in raises][:DEVICES_MAX])
            numbers = float(self._n), self._window_ns / 1e9
            event = no_model.raised(*key, FLOOD, severity, alert.entry, at_ns, numbers)
            event = msgspec.structs.replace(event, devices=tuple(devices))
            self._floods[key] = Flood(event, self._n, severity, devices, at_ns, self._n)
            yield event

    def _advance(self, key: Key, tick_ns: int, entry: int) -> AlertEvent | None:
        source, _ = key
        flood = self._floods[key]
        cause: Literal["source_removed", "not_watched", "below_threshold"]
        if source not in self._sources:
            cause = "source_removed"
        elif not self._n:
            cause = "not_watched"
        elif self._n_recent(source, tick_ns) < ENDS_AT_SHARE * self._n:
            cause = "below_threshold"
        else:
            return self._say(key, flood, tick_ns, entry)
        trigger: Trigger = "clear" if cause == "below_threshold" else "end"
        del self._floods[key]
        self._raises[source] = [one for one in self._raises.get(source, []) if one[1]]  # what `adopt` has put there
        return self._counted(flood, no_model.ended(flood.event, cause, trigger, entry, tick_ns))

    def _say(self, key: Key, flood: Flood, tick_ns: int, entry: int) -> AlertEvent | None:
        """An update: at once when it is severer, or has twice as many raises as it said, else once in SAY_EVERY_NS."""
        before = flood.event
        is_severer = flood.severity != before.severity
        is_due = flood.n >= 2 * flood.n_said or tick_ns >= flood.said_ns + SAY_EVERY_NS
        if not is_severer and (flood.n == flood.n_said or not is_due):
            return None
        event = msgspec.structs.replace(
            before,
            kind="updated",
            sequence=before.sequence + 1,
            state=next_state(before.state, "escalate" if is_severer else "update"),
            entry=entry,
            t_ns=max(tick_ns, before.t_ns),
            cause=FLOOD,
            at_ns=0,
            by="",
            note="",
        )
        event = self._counted(flood, event)
        self._floods[key] = flood._replace(event=event, said_ns=tick_ns, n_said=flood.n)
        return event

    def _counted(self, flood: Flood, event: AlertEvent) -> AlertEvent:
        numbers = float(flood.n), self._window_ns / 1e9
        event = msgspec.structs.replace(
            event, outputs={FLOOD: numbers}, devices=tuple(flood.devices), severity=flood.severity
        )
        return self._handling.as_shown(event)

    def _n_recent(self, source: str, now_ns: int) -> int:
        return sum(at_ns > now_ns - self._window_ns for at_ns, *_ in self._raises.get(source, []))

    def _is_hidden(self, key: Key) -> bool:
        return self._handling.of((*key, NO_MODEL, FLOOD)) is not None


def _higher(one: Severity, other: Severity) -> Severity:
    return max(one, other, key=SEVERITIES.index)
