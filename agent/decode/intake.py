"""Messages -> readings: which source and device a topic means, what a payload says, and what is dropped on the way.

An ordinary read costs no line of Python a message (`_plain`); any other goes one by one. What comes out are columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from agent.decode.json_object import JsonObjectCodec, Undecodable
from agent.decode.topic import Pattern, device_id_problem
from agent.drops import NO_SOURCE, Drops
from agent.errors import Unreadable
from agent.reasons import ReasonName
from agent.words import Bool, Devices, Float32, Int64, Source

ADDRESSES_MAX = 100_000  # topics remembered; beyond it the memory starts anew
ADDRESS_CHARS_MAX = 256  # longer topics are not remembered


@dataclass(frozen=True, slots=True)
class Address:
    """What a topic means: index of the source, and the device."""

    source: int
    device: str


Decoded = tuple[Sequence[int], Sequence[Address], Sequence[msgspec.Struct]]  # message, what its topic means, reading


@dataclass(frozen=True, slots=True)
class Readings:
    """Decoded messages in their order.

    message int64 [n] index into the lists given; source int64 [n] index; device [n] ids;
    t_ns int64 [n] event time; x float32 [n, F], NaN = missing, infinite = beyond float32.
    drops are messages left out, doubts messages that were used all the same.
    """

    message: Int64
    source: Int64
    device: Devices
    t_ns: Int64
    x: Float32
    drops: list[Drops]

    def only(self, kept: Bool) -> "Readings":
        """The readings where `kept` bool [n] says so, with all drops."""
        return Readings(
            message=self.message[kept],
            source=self.source[kept],
            device=self.device[kept],
            t_ns=self.t_ns[kept],
            x=self.x[kept],
            drops=self.drops,
        )


class Intake:
    """The decoders of all sources. A message belongs to the first source whose pattern its topic matches."""

    def __init__(self, sources: Sequence[Source], *, payload_bytes_max: int, device_id_bytes_max: int) -> None:
        self._sources = sources
        self._patterns = [Pattern.parse(source.topic) for source in sources]
        self._codecs = [JsonObjectCodec(source) for source in sources]
        self._n_channels = len(sources[0].fields)
        self._payload_bytes_max = payload_bytes_max
        self._device_id_bytes_max = device_id_bytes_max
        self._addresses: dict[str, Address] = {}
        self._topics: dict[Address, str] = {}  # the first one heard of a device, where a wildcard lets it have several

    def read(self, topics: Sequence[str], payloads: Sequence[bytes], log_times_ns: Int64) -> Readings:
        """Decode one read's messages; log_times_ns int64 [n] stand in for the time of a payload that has none."""
        drops: list[Drops] = []
        messages, addresses, decoded = self._plain(topics, payloads) or self._one_by_one(topics, payloads, drops)
        message = np.fromiter(messages, np.int64, len(messages))
        source = np.fromiter((address.source for address in addresses), np.int64, len(addresses))
        t_ns, impossible, x = self._columns(source, decoded, log_times_ns[message])
        device = np.array([address.device for address in addresses], np.object_)
        missing = np.isnan(x)
        if not np.count_nonzero(missing) and not np.count_nonzero(impossible):
            return Readings(message=message, source=source, device=device, t_ns=t_ns, x=x, drops=drops)
        is_short, empty = missing.any(axis=1), missing.all(axis=1)
        found: tuple[tuple[npt.NDArray[Any] | np.bool_, ReasonName], ...] = (
            (impossible, "impossible_time"),
            (empty, "no_channels"),
            (is_short & ~empty, "missing_channel"),
        )
        for faulty, reason in found:
            rows = np.flatnonzero(faulty)
            if len(rows) == 0:
                continue
            first, n_missing = missing[rows].argmax(axis=1), missing[rows].sum(axis=1)
            for row, channel, n in zip(rows.tolist(), first.tolist(), n_missing.tolist(), strict=True):
                detail = _detail(reason, self._sources[addresses[row].source].fields, channel, n)
                drops.append(_dropped(messages[row], addresses[row], reason, detail))
        readings = Readings(message=message, source=source, device=device, t_ns=t_ns, x=x, drops=drops)
        faulty = impossible | empty
        return readings.only(~faulty) if faulty.any() else readings

    def _plain(self, topics: Sequence[str], payloads: Sequence[bytes]) -> Decoded | None:
        """A read in which nothing is out of the ordinary, without a line of Python a message; None for any other."""
        addresses = list(map(self._addresses.get, topics))
        if len(self._codecs) > 1 or not all(addresses) or max(map(len, payloads), default=0) > self._payload_bytes_max:
            return None
        try:
            decoded = list(map(self._codecs[0].decode_strict, payloads))
        except Unreadable:
            return None
        return range(len(decoded)), cast(list[Address], addresses), decoded

    def _one_by_one(self, topics: Sequence[str], payloads: Sequence[bytes], drops: list[Drops]) -> Decoded:
        messages: list[int] = []
        addresses: list[Address] = []
        decoded: list[msgspec.Struct] = []
        for index, (topic, payload) in enumerate(zip(topics, payloads, strict=True)):
            address = self._addresses.get(topic) or self._address(index, topic, drops)
            if address is None:
                continue
            if len(payload) > self._payload_bytes_max:
                drops.append(_dropped(index, address, "too_large", f"{len(payload)} bytes"))
                continue
            try:
                reading, extra = self._codecs[address.source].decode(payload)
            except Undecodable as error:
                drops.append(_dropped(index, address, error.reason, error.detail))
                continue
            if extra:
                drops.append(_dropped(index, address, "extra_channel", f"{extra}; the reading is used"))
            messages.append(index)
            addresses.append(address)
            decoded.append(reading)
        return messages, addresses, decoded

    def _columns(
        self, source: Int64, decoded: Sequence[msgspec.Struct], arrived_ns: Int64
    ) -> tuple[Int64, Bool, Float32]:
        """Event times int64 [n], which of them cannot be bool [n], and channels float32 [n, F] of decoded readings."""
        if len(self._codecs) == 1:
            return self._codecs[0].columns(decoded, arrived_ns)
        n_rows = len(decoded)
        t_ns, impossible = np.empty(n_rows, np.int64), np.empty(n_rows, np.bool_)
        x = np.empty((n_rows, self._n_channels), np.float32)
        for index, codec in enumerate(self._codecs):
            rows = np.flatnonzero(source == index)
            t_ns[rows], impossible[rows], x[rows] = codec.columns(
                [decoded[row] for row in rows.tolist()], arrived_ns[rows]
            )
        return t_ns, impossible, x

    def _address(self, message: int, topic: str, drops: list[Drops]) -> Address | None:
        for source, pattern in enumerate(self._patterns):
            device = pattern.device(topic)
            if device is None:
                continue
            problem = device_id_problem(device, self._device_id_bytes_max)
            if problem:
                drops.append(_dropped(message, Address(source, ""), "device_id", f"the device id {problem}"))
                return None
            address = Address(source, device)
            if len(topic) <= ADDRESS_CHARS_MAX:
                if len(self._addresses) >= ADDRESSES_MAX:
                    self._addresses.clear()
                    self._topics.clear()
                self._addresses[topic] = address
                if pattern.has_wildcard and (first := self._topics.setdefault(address, topic)) != topic:
                    detail = f"the device also comes from {first}: are they two machines? The reading is used"
                    drops.append(_dropped(message, address, "two_topics", detail))
            return address
        drops.append(_dropped(message, Address(NO_SOURCE, ""), "no_source", "no source's topic matches"))
        return None


def _dropped(message: int, address: Address, reason: ReasonName, detail: str) -> Drops:
    device = np.array([address.device], np.object_)
    return Drops(reason, np.array([message]), np.array([address.source]), device, str, ([detail],))


def _detail(reason: ReasonName, fields: Sequence[str], channel: int, n_missing: int) -> str:
    """What is wrong with one reading, for the log; `channel` is the first of those that are missing."""
    if reason == "impossible_time":
        return "before 1970 or after 2116: is the unit of the time right?"
    if reason == "no_channels":
        return f"no value in any of the fields {', '.join(fields)}"
    others = f", nor have {n_missing - 1} more" if n_missing > 1 else ""
    return f"{fields[channel]} has no value{others}; the reading is used"
