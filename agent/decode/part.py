"""What one source's messages of a read become: its codec is called, and what it gave is checked.

A message counts one reason: why nothing of it is used, or else one doubt. So what becomes of its readings is settled
first, and then what is to be said. A doubt about a value tells more than that a channel is missing, and that tells more
than that a field is not read (`_RANK`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import compress, repeat
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from agent.decode.codec import Decoder, codec_of
from agent.decode.compressed import Compressed
from agent.decode.device_name import DeviceName
from agent.decode.events import Events
from agent.decode.expand import Expander
from agent.decode.layout import brings_parts
from agent.decode.readings import Batch, Decoded, Fault, Intervention
from agent.decode.topic import device_id_problem
from agent.decode.undecodable import Undecodable
from agent.drops import Drops, SingleDrop
from agent.reasons import REASONS, ReasonName
from agent.sources import Source
from agent.values.numbers import engineering_units
from agent.words import AlertCommand, AlertLabel, Bool, Devices, Float32, Int64

OF_ONE_DEVICE_MAX = 300  # readings of a payload: each is a step of its own, all of them about 45 ms, and others wait
POINTS_MAX = OF_ONE_DEVICE_MAX  # of a grid that the readings of a payload pass: each is a row
INTERVENTIONS_MAX = 50  # in one payload: what comes between two of them is stepped by itself
DEVICES_MAX = 100_000  # ids of payloads remembered as fine; beyond it the memory starts anew
FIELDS_SAID = 5  # of those that a reading has none of
_DEVICE = itemgetter(1)  # of an Address
_RANK: dict[ReasonName, int] = {"missing_channel": 1, "extra_channel": 2}  # others 0; of two doubts the lower is said


class Part(msgspec.Struct, frozen=True):
    """n readings of one source, in the order of its messages, and what is said of them.

    source   index of the source that read them; is_one_each  every message of the batch brought one reading
    message  int64 [n] index into the messages of the read; device [n] ids; t_ns int64 [n] event time
    x        float32 [n, channels of the source] in their units
    """

    source: int
    message: Int64
    device: Devices
    t_ns: Int64
    x: Float32
    singles: Sequence[SingleDrop] = ()
    drops: Sequence[Drops] = ()
    interventions: Sequence[Intervention] = ()
    requests: Sequence[tuple[str, bytes]] = ()
    labels: Sequence[tuple[int, int, AlertLabel]] = ()
    commands: Sequence[tuple[int, int, AlertCommand]] = ()
    is_one_each: bool = False


class Reader:
    """One source's codec. `undecodable` counts the messages of which nothing could be read."""

    def __init__(
        self, index: int, sources: Sequence[Source], owner: int, *, payload_bytes_max: int, device_id_bytes_max: int
    ) -> None:
        """The source at `index`, whose readings are of devices of the one at `owner`."""
        source = sources[index]
        self._is_compressed = source.compression != "none"
        self._expander = Expander(source.compression, payload_bytes_max)
        self.use(codec_of(source))
        self.undecodable = Undecodable()
        self._index, self._owner = index, owner
        self._channels, self._fields = source.channels, source.fields
        self._events = Events(source.channels)
        self._may_lack = not source.channels or brings_parts(source, sources[owner])
        self._device_id_bytes_max = device_id_bytes_max
        self._is_in_topic = DeviceName(source).is_in_topic
        self._fine_ids: set[str] = set()
        self._every_ns = round(sources[owner].align.every_s * 1e9)

    def use(self, codec: Decoder) -> None:
        """From now on this one decodes."""
        self.codec = codec
        self._decode = Compressed(codec, self._expander).decode if self._is_compressed else codec.decode

    def read(self, batch: Batch, message: Int64) -> Part:
        """The readings of a batch; message int64 [n] is the place of each payload among the messages of the read."""
        decoded = self._events.read(_bounded(self._decode(batch), self._every_ns))
        row, device = decoded.row, decoded.device
        has_ids = device is None and self._is_in_topic  # which were checked with the topic
        if device is None:
            device = np.fromiter(map(_DEVICE, batch.addresses), np.object_, len(batch.addresses))
            device = device if row is None else device[row]
        x = engineering_units(decoded.x, self._channels)
        of_reading = message if row is None else message[row]
        part = Part(self._index, of_reading, device, decoded.t_ns, x, is_one_each=row is None)
        is_misnamed = None if has_ids else self._misnamed(device)
        people = decoded.interventions or decoded.labels or decoded.commands
        has_more = people or decoded.faults or decoded.requests
        is_plain = not has_more and is_misnamed is None
        if is_plain and not np.count_nonzero(np.isnan(x)) and not np.count_nonzero(decoded.t_ns < 0):
            self.undecodable.add(len(batch.payloads), ())
            return part
        if is_misnamed is None:
            is_misnamed = np.zeros(len(device), np.bool_)
        return self._settled(part, batch, decoded, message, is_misnamed)

    def _settled(self, part: Part, batch: Batch, decoded: Decoded, message: Int64, is_misnamed: Bool) -> Part:
        """The part without readings that cannot be used, and what is said of each message."""
        row = np.arange(len(batch.payloads)) if decoded.row is None else decoded.row
        missing = np.isnan(part.x)
        is_impossible = (part.t_ns < 0) & ~is_misnamed
        is_empty = missing.all(axis=1) & ~is_misnamed & ~is_impossible
        is_used = ~(is_misnamed | is_impossible | is_empty)
        groups = [
            self._group(part, is_misnamed, "device_id", self._misnamed_text, part.device[is_misnamed]),
            self._group(part, is_impossible, "impossible_time", _impossible_text),
            self._group(part, is_empty, "no_channels", self._empty_text),
        ]
        interventions, faults = self._interventions(batch, decoded, message)
        misnamed = {*row[is_misnamed].tolist()}  # of the same device; its reading says so
        faults = [fault for fault in faults if fault.row not in misnamed]
        faults += [fault for fault in decoded.faults if not REASONS[fault.reason].is_used]
        used_rows, bad_rows = (np.zeros(len(batch.payloads), np.bool_) for _ in range(2))
        used_rows[row[is_used]] = True
        used_rows[[row for row, *_ in (*interventions, *decoded.labels, *decoded.commands)]] = True
        bad_rows[row] = True
        bad_rows[[fault.row for fault in faults]] = True
        nothing = {one.row: one for one in decoded.faults if not (bad_rows[one.row] or used_rows[one.row])}
        faults += [doubt._replace(reason="no_channels") for doubt in nothing.values()]  # none is lost without a word
        bad_rows[[*nothing]] = True
        bad_rows[[fault.row for fault in faults if fault.reason == "extra_topic"]] = False  # which nobody wants to read
        self.undecodable.add(len(batch.payloads), np.flatnonzero(bad_rows & ~used_rows).tolist())

        doubts = _doubts(fault for fault in decoded.faults if REASONS[fault.reason].is_used and used_rows[fault.row])
        if not self._may_lack:
            missing &= ~self._events.counts  # no event, no value
            short = _short(row, is_used & missing.any(axis=1), doubts)
            first, n_missing = missing[short].argmax(axis=1), np.count_nonzero(missing[short], axis=1)
            groups.append(self._group(part, short, "missing_channel", self._missing_text, first, n_missing))
        singles = [
            SingleDrop(reason, int(message[at]), self._index, batch.addresses[at].device, detail)
            for at, reason, detail in (*faults, *doubts.values())
        ]
        return Part(
            source=self._index,
            message=part.message[is_used],
            device=part.device[is_used],
            t_ns=part.t_ns[is_used],
            x=part.x[is_used],
            singles=singles,
            drops=[group for group in groups if len(group.message)],
            interventions=[one for _, one in interventions],
            requests=decoded.requests,
            labels=[(int(message[row]), self._owner, label) for row, label in decoded.labels],
            commands=[(int(message[row]), self._owner, command) for row, command in decoded.commands],
        )

    def _misnamed(self, device: Devices) -> Bool | None:
        """Which of the ids [n] that payloads name are refused, bool [n]; None where all are fine."""
        names = device.tolist()
        if self._fine_ids.issuperset(names):
            return None
        problems = {name: self._problem(name) for name in {*names} - self._fine_ids}
        if len(self._fine_ids) + len(problems) > DEVICES_MAX:
            self._fine_ids.clear()
        self._fine_ids.update(name for name, problem in problems.items() if not problem)
        return np.array([bool(problems.get(name)) for name in names]) if any(problems.values()) else None

    def _problem(self, device: str) -> str:
        return device_id_problem(device, self._device_id_bytes_max)

    def _interventions(
        self, batch: Batch, decoded: Decoded, message: Int64
    ) -> tuple[list[tuple[int, Intervention]], list[Fault]]:
        """The rows of those that can be used and they themselves, and why others cannot."""
        interventions, faults = [], []
        for row, device, t_ns, kind, note in decoded.interventions:
            name = device or batch.addresses[row].device
            if self._problem(name):
                faults.append(Fault(row, "device_id", self._misnamed_text(name)))
            elif t_ns < 0:
                faults.append(Fault(row, "impossible_time", _impossible_text()))
            else:
                interventions.append((row, Intervention(int(message[row]), self._owner, name, t_ns, kind, note)))
        return interventions, faults

    def _group(
        self, part: Part, which: Bool | Int64, reason: ReasonName, text: Callable[..., str], *values: Any
    ) -> Drops:
        """Those readings of the part as drops or doubts; `values` [k] are what `text` takes of each."""
        message = part.message[which]
        return Drops(reason, message, np.full(len(message), self._index), part.device[which], text, values)

    def _misnamed_text(self, device: str) -> str:
        return f"the device id in the payload {self._problem(device)}"

    def _empty_text(self) -> str:
        names = ", ".join(self._fields[:FIELDS_SAID])
        more = len(self._fields) - FIELDS_SAID
        return f"no value in any of the fields {names}{f' and {more} more' if more > 0 else ''}"

    def _missing_text(self, first: int, n_missing: int) -> str:
        others = f", nor have {n_missing - 1} more" if n_missing > 1 else ""
        return f"{self._fields[first]} has no value{others}"


def _bounded(decoded: Decoded, every_ns: int) -> Decoded:
    """Without payloads that bring too much, as `_crowded` says; every_ns of the source's grid, 0 for none."""
    fates = _crowded(decoded)
    if every_ns and decoded.row is not None and len(decoded.row):
        fates |= _far_apart(decoded, every_ns)
    if not fates:
        return decoded
    row = np.arange(len(decoded.t_ns)) if decoded.row is None else decoded.row
    kept = ~np.isin(row, [*fates])
    return replace(
        decoded,
        row=row[kept],
        t_ns=decoded.t_ns[kept],
        x=decoded.x[kept],
        device=None if decoded.device is None else decoded.device[kept],
        faults=[
            *(fault for fault in decoded.faults if fault.row not in fates),
            *(Fault(of, "too_many_readings", detail) for of, detail in fates.items()),
        ],
        interventions=[one for one in decoded.interventions if one.row not in fates],
    )


def _crowded(decoded: Decoded) -> dict[int, str]:
    """Rows of payloads that bring too much, and how much."""
    fates: dict[int, str] = {}
    if len(decoded.interventions) > INTERVENTIONS_MAX:
        n_interventions = Counter(one.row for one in decoded.interventions)
        text = f"{{}} interventions; at most {INTERVENTIONS_MAX} are taken"
        fates = {of: text.format(n) for of, n in n_interventions.items() if n > INTERVENTIONS_MAX}
    row = decoded.row
    if row is None or len(row) <= OF_ONE_DEVICE_MAX or np.bincount(row).max() <= OF_ONE_DEVICE_MAX:
        return fates
    device = repeat("") if decoded.device is None else decoded.device.tolist()
    n_readings = Counter(zip(row.tolist(), device, strict=False))
    text = f"{{}} readings of one device; at most {OF_ONE_DEVICE_MAX} are taken"
    return fates | {of: text.format(n) for (of, _), n in n_readings.items() if n > OF_ONE_DEVICE_MAX}


def _far_apart(decoded: Decoded, every_ns: int) -> dict[int, str]:
    """Rows of payloads whose readings of one device pass too many points of a grid, and how many."""
    row, point = decoded.row, decoded.t_ns // every_ns
    if row is None or np.ptp(point) <= POINTS_MAX:
        return {}
    device = repeat("") if decoded.device is None else decoded.device.tolist()
    points: dict[tuple[int, str], list[int]] = {}
    for of, name, at in zip(row.tolist(), device, point.tolist(), strict=False):
        points.setdefault((of, name), []).append(at)
    text = f"readings over {{}} steps of align.every; at most {POINTS_MAX} are taken"
    spans = {key: max(at) - min(at) for key, at in points.items()}
    return {of: text.format(span) for (of, _), span in spans.items() if span > POINTS_MAX}


def _doubts(faults: Iterable[Fault]) -> dict[int, Fault]:
    """One doubt of each row."""
    doubts: dict[int, Fault] = {}
    for fault in faults:
        doubts[fault.row] = min(doubts.get(fault.row, fault), fault, key=_rank)
    return doubts


def _short(row: Int64, which: Bool, doubts: dict[int, Fault]) -> Int64:
    """Readings of which a missing channel is to be said, of those in bool [n]; int64 [n] has their payloads' rows.

    One a payload. Doubts that tell less are taken out of `doubts`; where one tells more, that is said instead.
    """
    short: Int64 = np.flatnonzero(which)
    short = short[np.unique(row[short], return_index=True)[1]]
    if not doubts or not len(short):
        return short
    rows = row[short].tolist()
    is_said = [of not in doubts or _rank(doubts[of]) > _RANK["missing_channel"] for of in rows]
    for of in compress(rows, is_said):
        doubts.pop(of, None)
    return np.array([*compress(short.tolist(), is_said)], np.int64)


def _rank(fault: Fault) -> int:
    return _RANK.get(fault.reason, 0)


def _impossible_text() -> str:
    return "before 1970 or after 2116: is the unit of the time right?"
