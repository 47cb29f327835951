"""A core without models that keeps its rows, and a plain model of how one device's readings become rows."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.sources import AlignRule, SourceChannel
from tests.streams import SOURCE

S = 10**9
NOW_S = 1_800_000_000
FIELDS = ("temp", "load", "wear")

Values = dict[str, float]
Reading = tuple[str, float, Values]  # device, seconds after NOW_S, and the channels that it brings
Row = tuple[str, float, tuple[float | None, ...]]


def source(rule: AlignRule, *ages_s: float | None, event: str = "", **others):
    """A wall clock source of three channels, whose times are never too far from arrival; one may count events."""
    channels = tuple(
        SourceChannel(name, max_age_s=age_s, event="" if name == event else None)
        for name, age_s in zip(FIELDS, ages_s or (None,) * len(FIELDS), strict=True)
    )
    usual = {"channels": channels, "time_field": "ts", "time_unit": "s", "future_max_s": 1e6, "past_max_s": 1e6}
    return replace(SOURCE, align=rule, **(usual | others))


def core_of(*sources, bounds: Bounds | None = None) -> Core:
    return Core(sources, (), bounds or Bounds(), keeps_rows=True)


def take(into: Core, readings: Iterable[Reading], topic: str = "plant/{}/cycle") -> list[Row]:
    """The rows that one call of these readings makes."""
    listed = list(readings)
    payloads = [json.dumps({"ts": NOW_S + t_s, **values}).encode() for _, t_s, values in listed]
    topics = [topic.format(device) for device, _, _ in listed]
    taken = into.apply(Messages(topics, payloads, [NOW_S * S] * len(listed)))
    rows: list[Row] = []
    for part in taken.rows:
        for device, t_ns, x in zip(part.device.tolist(), part.t_ns.tolist(), part.x.tolist(), strict=True):
            rows.append((device, t_ns / S - NOW_S, tuple(None if math.isnan(one) else one for one in x)))
    return rows


def of_device(rows: Iterable[Row], device: str) -> list[Row]:
    return [row for row in rows if row[0] == device]


@dataclass
class Plain:
    """One device's readings, one after another, as the pages say it; times are whole seconds."""

    rule: AlignRule
    ages_s: Sequence[float | None] = (None, None, None)
    rows: list[tuple[float, tuple[float | None, ...]]] = field(default_factory=list)
    held: dict[str, tuple[float, float]] = field(default_factory=dict)  # time and value
    front: float | None = None
    foremost: float | None = None
    waiting: dict[float, Values] = field(default_factory=dict)
    event: str = ""  # one of FIELDS counts events
    pending: float = 0.0
    event_t: float | None = None

    def take(self, t: float, values: Values) -> None:
        newest = self.rows[-1][0] if self.rows else None
        bounds = [one for one in (newest, self._passed()) if one is not None]
        if bounds and t <= max(bounds):
            if t == newest and not self.rule.every_s:
                measured = {name: value for name, value in values.items() if name != self.event}
                new = {name: value for name, value in measured.items() if self.held.get(name, (-1,))[0] < t}
                if any(map(self._age, FIELDS)):
                    self._hold(t, new)
                if not measured or (new and any(map(self._age, FIELDS))):
                    self._count(t, values)
            return
        if not self.rule.lateness_s:
            self._make(t, values)
            return
        self.foremost = max(t, self.foremost if self.foremost is not None else t)
        before = self.waiting.get(t, {})
        self.waiting[t] = before | {name: max(value, before.get(name, value)) for name, value in values.items()}
        for due in sorted(one for one in self.waiting if one < self.foremost - self.rule.lateness_s):
            self._make(due, self.waiting.pop(due))

    def _make(self, t: float, values: Values) -> None:
        if self.rule.every_s:
            self._pass_points(t)
        self._count(t, values)
        values = {name: value for name, value in values.items() if name != self.event}
        if values and not self.rule.every_s:
            own = {name: (t, value) for name, value in values.items()}
            held = {name: one for name, one in self.held.items() if t - one[0] <= self._age(name) and one[0] <= t}
            self._add(t, {name: one[1] for name, one in (held | own).items()})
        self._hold(t, {name: value for name, value in values.items() if self.held.get(name, (-1,))[0] <= t})
        self.front = max(t, self.front if self.front is not None else t)

    def _pass_points(self, t: float) -> None:
        if self.front is None:
            return
        every = self.rule.every_s
        point = math.ceil(self.front / every) * every
        for nth in range(60):
            at = point + nth * every
            if at >= t:
                return
            values = {name: value for name, (read, value) in self.held.items() if at < read + self._age(name)}
            if values and len(values) >= self.rule.quorum * (len(FIELDS) - bool(self.event)):
                self._add(at, values)

    def _passed(self) -> float | None:
        if not self.rule.every_s or self.front is None:
            return None
        return (math.ceil(self.front / self.rule.every_s) - 1) * self.rule.every_s

    def _age(self, name: str) -> float:
        age_s = self.ages_s[FIELDS.index(name)]
        return (self.rule.max_age_s if age_s is None else age_s) or self.rule.every_s

    def _hold(self, t: float, values: Values) -> None:
        self.held |= {name: (t, value) for name, value in values.items()}

    def _count(self, t: float, values: Values) -> None:
        if self.event in values and t != self.event_t:
            self.pending, self.event_t = self.pending + values[self.event], t

    def _add(self, t: float, values: Values) -> None:
        if self.event:
            values, self.pending = values | {self.event: self.pending}, 0.0
        self.rows.append((t, tuple(values.get(name) for name in FIELDS)))


def plain_rows(
    rule: AlignRule, ages_s: Sequence[float | None], readings: Iterable[Reading], device: str, event: str = ""
) -> list[Row]:
    """What the plain model makes of one device's readings."""
    plain = Plain(rule, ages_s, event=event)
    for name, t_s, values in readings:
        if name == device:
            plain.take(NOW_S + t_s, values)
    return [(device, t_s - NOW_S, values) for t_s, values in plain.rows]
