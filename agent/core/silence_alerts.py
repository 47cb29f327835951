"""Alerts of silence: the connection stands, and a source, or one device of a source that is heard, says nothing.

It is decided at ticks by log time alone, and events are those of any alert. What is counted is *listening time*, of
each source its own: log time without what passed while the source was not subscribed to (`Listening`), and without
what passed between two entries beyond two ticks, since the shell appends a heartbeat at each: more is a process that
was stopped, a host that slept, or a clock that was set. So neither can make anybody silent.

A device's silence is counted up to the newest row of its source, not up to now, and without pauses in which nobody of
the source was heard for longer than that device may be silent: when a whole source falls silent, that is one alert.
Time in which a machine stands, as its model knows (`stopped`), is no silence.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from agent.core.bounds import Bounds
from agent.core.handling import Handling
from agent.core.marks import Key
from agent.core.silence import OF_SILENCE
from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, Slots
from agent.judge import no_model
from agent.judge import silence as judge
from agent.judge.events import HandledStep
from agent.judge.lifecycle import Trigger
from agent.judge.no_model import ALL_DEVICES, NO_MODEL
from agent.judge.silence import OFF_NS, WEEK_NS, PauseColumns, SilenceEnd
from agent.sources import Source
from agent.words import SILENCE, AlertEvent, AlertKey, Bool, Int64

DEVICES = f"{OF_SILENCE}devices"
UNHEARD_NS = 60 * 10**9
KeptTime = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
TICKS_LISTENED = 2  # of what passes between two entries no more ticks count as time in which somebody listened


@dataclass(slots=True)
class ListeningColumns(Columns):
    """Of each source.

    listens  bool   messages of it can come
    left_ns  int64  log time since when they cannot, NEVER where they never could
    away_ns  int64  log time that is no listening time, in all
    week     int64  number of the week, of listening time, that `pause_ns` is of
    rows_ns  int64  when, in listening time, some device of it was heard last, as of the last tick; NEVER for not yet
    listened_from_ns  int64  the first tick, in listening time, at which messages of it could come, NEVER for none
    """

    listens: Bool = column(np.bool_, False)
    left_ns: Int64 = column(np.int64, NEVER)
    away_ns: Int64 = column(np.int64, 0)
    week: Int64 = column(np.int64, 0)
    rows_ns: Int64 = column(np.int64, NEVER)
    listened_from_ns: Int64 = column(np.int64, NEVER)


class KeptSource(NamedTuple):
    """What a snapshot keeps of one source: an element of all columns of both groups."""

    name: str
    listening: tuple[bool, KeptTime, KeptTime, KeptTime, KeptTime, KeptTime]
    pauses: tuple[KeptTime, KeptTime, KeptTime, KeptTime, KeptTime]


class Kept(NamedTuple):
    """What a snapshot keeps beside the columns of devices: `standing` the newest event of each alert that stands."""

    sources: list[KeptSource]
    standing: list[AlertEvent]


def read_kept(data: bytes) -> Kept:
    """What `SilenceAlerts.keep` wrote, b"" for nothing. Raises ValueError."""
    if not data:
        return Kept([], [])
    kept = msgspec.msgpack.decode(data, type=Kept)
    if any(event.head != SILENCE for event in kept.standing):
        raise ValueError("an alert of silence is one of a model")
    return kept


class SilenceAlerts:
    """Who is heard, and the alerts that say who is not.

    standing  the newest event of each alert that stands
    """

    def __init__(self, sources: Sequence[Source], bounds: Bounds, slots: Slots, handling: Handling) -> None:
        self.standing: dict[Key, AlertEvent] = {}
        self._index = {source.name: index for index, source in enumerate(sources)}
        self._names = [*self._index]
        self._owner = np.array([self._index[source.joins or source.name] for source in sources])
        self._slots = slots
        self._handling = handling
        self._listened_max_ns = round(TICKS_LISTENED * bounds.tick_every_s * 1e9)
        self._floor_ns = round(bounds.stale_after_s * 1e9)
        self._set_ns = judge.set_ns([source.silent_after_s for source in sources])
        self._device_set_ns = judge.set_ns([source.device_silent_after_s for source in sources])
        self._pauses = PauseColumns.empty(len(sources))
        self._listening = ListeningColumns.empty(len(sources))
        self._watches = self._set_ns != OFF_NS
        watches_devices = bool((self._device_set_ns != OFF_NS).any())
        self._of_devices = slots.register(DEVICES, PauseColumns) if watches_devices else None

    def listening(self) -> frozenset[str]:
        """Names of the sources of which messages can come."""
        return frozenset(name for name, listens in zip(self._names, self._listening.listens, strict=True) if listens)

    def ids(self) -> dict[AlertKey, str]:
        """The id of each alert that stands."""
        return {event.key: event.alert for event in self.standing.values()}

    def unheard(self, log_time_ns: int) -> list[str]:
        """Names of the watched sources that were listened to for UNHEARD_NS at least, and never heard."""
        columns = self._listening
        since_ns = log_time_ns - columns.away_ns - columns.listened_from_ns
        is_late = columns.listens & (columns.listened_from_ns != NEVER) & (since_ns >= UNHEARD_NS)
        places = np.flatnonzero(is_late & self._watches & (self._pauses.quiet_from_ns == NEVER))
        return [self._names[place] for place in places.tolist()]

    # What is heard ----------------------------------------------------------------------------------------------

    def listen(self, sources: Collection[str], log_time_ns: int) -> None:
        """From log time log_time_ns on messages of these sources can come, and of no others."""
        columns = self._listening
        listens = np.array([name in sources for name in self._names], np.bool_)
        begins = listens & ~columns.listens & (columns.left_ns != NEVER)
        columns.away_ns[begins] += log_time_ns - columns.left_ns[begins]
        columns.left_ns[columns.listens & ~listens] = log_time_ns
        columns.listens[:] = listens

    def pass_time(self, passed_ns: int) -> None:
        """So much log time passed since the entry before."""
        if passed_ns > self._listened_max_ns:
            self._listening.away_ns[self._listening.listens] += passed_ns - self._listened_max_ns

    def hear_sources(self, messages: Iterable[tuple[int, Int64]], log_times_ns: Int64) -> None:
        """Readings came: of each source the places of their messages in log_times_ns int64 [n], which rise."""
        for source, places in messages:
            if self._watches[source] and len(places):
                at_ns = log_times_ns[places] - self._listening.away_ns[source]
                judge.hear(self._pauses, np.full(len(places), source), at_ns)

    def hear_devices(self, slots: Int64, source: Int64, log_times_ns: Int64) -> None:
        """Rows of these devices came, int64 [n] each, in the order of their messages."""
        if self._of_devices is not None:
            judge.hear(self._of_devices, slots, log_times_ns - self._listening.away_ns[source])

    # What is said -----------------------------------------------------------------------------------------------

    def tick(self, tick_ns: int, entry: int, stands: Bool) -> list[AlertEvent]:
        """Who is silent at the tick of log time tick_ns, and who is not any more.

        stands  bool [capacity]: the device's machine stands
        """
        if not self.standing and not self._watches.any() and self._of_devices is None:
            return []
        now_ns = tick_ns - self._listening.away_ns
        begins = self._listening.listens & (self._listening.listened_from_ns == NEVER)
        self._listening.listened_from_ns[begins] = now_ns[begins]
        self._turn_weeks(now_ns)
        alerts = [*self._end_unwatched(tick_ns, entry)]
        alerts += self._judge_sources(tick_ns, entry, now_ns, stands)
        if self._of_devices is not None:
            alerts += self._judge_devices(self._of_devices, tick_ns, entry, now_ns, stands)
        return alerts

    def forget(self, source: str, device: str, entry: int, tick_ns: int) -> list[AlertEvent]:
        """The end of the alert of a device that is forgotten."""
        return [self._end((source, device), "forgotten", entry, tick_ns)] if (source, device) in self.standing else []

    def handle(self, key: Key, trigger: Trigger | None, step: HandledStep) -> AlertEvent:
        """What a person does with the standing alert of a device or source; see `JudgedHead.handle`."""
        before = self.standing[key]
        event = self.standing[key] = self._handling.as_shown(no_model.handled(before, trigger, step))
        return event

    def adopt(self, standing: Iterable[AlertEvent], log_time_ns: int) -> None:
        """What stands is what the alert table says, of devices that have a slot; nobody was heard since the raise."""
        self.standing = {(event.source, event.device): event for event in standing}
        for columns in self._groups():
            judge.forget_alerts(columns)
        for (source, device), event in self.standing.items():
            of, index = self._place(source, device)
            if of is not None:
                now_ns = log_time_ns - int(self._listening.away_ns[self._index[source]])
                judge.keep_silent(of, index, now_ns, judge.told_after_ns(event))

    # What a snapshot keeps --------------------------------------------------------------------------------------

    def keep(self) -> Callable[[], bytes]:
        """What packs all but the devices' columns as they are now; b"" before anybody was listened to or heard."""
        columns = self._listening
        is_heard = columns.week.any() or (self._pauses.quiet_from_ns != NEVER).any() or (columns.rows_ns != NEVER).any()
        if not (self.standing or is_heard or columns.listens.any() or (columns.left_ns != NEVER).any()):
            return bytes
        n = len(self._names)
        values = zip(self._names, _rows(self._listening, n), _rows(self._pauses, n), strict=True)
        sources = [msgspec.convert(of_source, KeptSource) for of_source in values]
        return partial(msgspec.msgpack.encode, Kept(sources, [*self.standing.values()]))

    def restore(self, kept: Kept) -> None:
        """Take over what was kept; sources that are not in it begin anew."""
        self.standing = {(event.source, event.device): event for event in kept.standing}
        self._listening.reset()
        self._pauses.reset()
        for name, listening, pauses in kept.sources:
            if name in self._index:
                _put(self._listening, self._index[name], listening)
                _put(self._pauses, self._index[name], pauses)

    # The rest is the way inside ---------------------------------------------------------------------------------

    def _groups(self) -> list[PauseColumns]:
        return [self._pauses] if self._of_devices is None else [self._pauses, self._of_devices]

    def _place(self, source: str, device: str) -> tuple[PauseColumns | None, int]:
        """Where the pauses of a source, or of a device, are kept; None where nobody watches it."""
        index = self._index.get(source)
        if index is None:
            return None, 0
        if device == ALL_DEVICES:
            return (self._pauses if self._watches[index] else None), index
        slot = self._slots.find(index, device)
        if slot is None or self._device_set_ns[index] == OFF_NS:
            return None, 0
        return self._of_devices, slot

    def _turn_weeks(self, now_ns: Int64) -> None:
        week = now_ns // WEEK_NS
        turns = week != self._listening.week
        if not np.count_nonzero(turns):
            return
        self._listening.week[:] = week
        judge.begin_week(self._pauses, turns)
        if self._of_devices is not None:
            judge.begin_week(self._of_devices, np.isin(self._slots.source, np.flatnonzero(turns)))

    def _end_unwatched(self, tick_ns: int, entry: int) -> Iterator[AlertEvent]:
        """Alerts of sources and devices that the settings let nobody watch any more."""
        n_told = sum(int(np.count_nonzero(columns.told_after_ns)) for columns in self._groups())
        if n_told == len(self.standing):
            return
        for source, device in [*self.standing]:
            if self._place(source, device)[0] is None:
                cause: SilenceEnd = "not_watched" if source in self._index else "source_removed"
                yield self._end((source, device), cause, entry, tick_ns)

    def _judge_sources(self, tick_ns: int, entry: int, now_ns: Int64, stands: Bool) -> Iterator[AlertEvent]:
        columns = self._pauses
        resting = self._resting(stands)
        judge.stand(columns, resting, now_ns[resting])
        limits_ns = judge.limits_ns(columns, self._set_ns, self._floor_ns)
        quiet_ns = judge.silence_ns(columns, now_ns)
        for index in self._changed(columns, quiet_ns, limits_ns, self._listening.listens & self._watches):
            key = self._names[index], ALL_DEVICES
            yield from self._change(columns, index, key, quiet_ns, limits_ns, tick_ns, entry)

    def _resting(self, stands: Bool) -> Bool:
        """bool [sources]: there are machines of the source, and all of them stand."""
        source, n = self._slots.source, len(self._names)
        is_known = source >= 0
        n_known = np.bincount(source[is_known], minlength=n)
        rests = (n_known > 0) & (np.bincount(source[is_known & stands], minlength=n) == n_known)
        resting: Bool = rests[self._owner]
        return resting

    def _judge_devices(
        self, columns: PauseColumns, tick_ns: int, entry: int, now_ns: Int64, stands: Bool
    ) -> Iterator[AlertEvent]:
        is_known = self._slots.source >= 0
        source = np.where(is_known, self._slots.source, 0)  # of what is not known nothing is used
        newest_ns = np.full(len(self._names), NEVER)
        np.maximum.at(newest_ns, source[is_known], columns.quiet_from_ns[is_known])
        own_now_ns = np.where(is_known, newest_ns[source], NEVER)
        judge.stand(columns, stands & is_known, own_now_ns[stands & is_known])
        set_ns = np.where(is_known, self._device_set_ns[source], OFF_NS)
        limits_ns = judge.limits_ns(columns, set_ns, self._floor_ns)
        before_ns = self._listening.rows_ns.copy()
        self._listening.rows_ns[:] = newest_ns
        pause_ns = np.where(before_ns == NEVER, 0, newest_ns - before_ns)[source]
        waits_too = is_known & (pause_ns > limits_ns) & (columns.quiet_from_ns <= before_ns[source])
        judge.skip(columns, waits_too, pause_ns[waits_too])
        quiet_ns = judge.silence_ns(columns, own_now_ns)
        is_sender = columns.quiet_from_ns > columns.watched_from_ns  # an id that came once need not come again
        may_tell = (
            is_known & (is_sender | (columns.told_after_ns > 0)) & (set_ns != OFF_NS) & self._listening.listens[source]
        )
        for slot in self._changed(columns, quiet_ns, limits_ns, may_tell):
            key = self._names[int(source[slot])], str(self._slots.devices[slot])
            yield from self._change(columns, slot, key, quiet_ns, limits_ns, tick_ns, entry)

    def _changed(self, columns: PauseColumns, quiet_ns: Int64, limits_ns: Int64, may_tell: Bool) -> list[int]:
        """Who falls silent, and who has ended the silence of which an alert tells."""
        told_ns = columns.told_after_ns
        falls_silent = (told_ns == 0) & (quiet_ns > limits_ns)
        is_heard = (told_ns > 0) & (quiet_ns < told_ns)
        return np.flatnonzero(may_tell & (falls_silent | is_heard)).tolist()

    def _change(
        self,
        columns: PauseColumns,
        index: int,
        key: Key,
        quiet_ns: Int64,
        limits_ns: Int64,
        tick_ns: int,
        entry: int,
    ) -> Iterator[AlertEvent]:
        if key in self.standing:
            yield self._end(key, "heard_again", entry, tick_ns)
            return
        if self._handling.of((*key, NO_MODEL, SILENCE)) is not None:
            return  # at the first tick at which it is not hidden any more
        limit_ns = int(limits_ns[index])
        event = judge.raised(*key, entry, tick_ns, int(quiet_ns[index]), limit_ns)
        self.standing[key] = event
        judge.tell(columns, index, limit_ns)
        yield event

    def _end(self, key: Key, cause: SilenceEnd, entry: int, tick_ns: int) -> AlertEvent:
        columns, index = self._place(*key)
        if columns is not None:
            judge.tell(columns, index, 0)
        return self._handling.as_shown(judge.ended(self.standing.pop(key), cause, entry, tick_ns))


def _rows(columns: Columns, n: int) -> list[tuple[int, ...]]:
    """The first n elements, each as a tuple of all columns."""
    return [*zip(*(array.tolist() for array in columns.arrays(n).values()), strict=True)]


def _put(columns: Columns, place: int, values: Sequence[int]) -> None:
    """One element of all columns."""
    for array, value in zip(columns.arrays(place + 1).values(), values, strict=True):
        array[place] = value
