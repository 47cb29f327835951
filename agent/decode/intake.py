"""Messages -> readings: which source and device a topic means, what a payload says, and what is dropped on the way.

Python touches each message once, here; what comes out are columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from agent.decode.json_object import JsonObjectCodec, Undecodable, Unreadable
from agent.decode.topic import Pattern, device_id_problem
from agent.words import Bool, Devices, Drop, Float32, Int64, Source

ADDRESSES_MAX = 100_000  # topics remembered; beyond it the memory starts anew


@dataclass(frozen=True, slots=True)
class Address:
    """What a topic means: index of the source, and the device."""

    source: int
    device: str


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
    drops: list[Drop]

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

    def read(self, topics: Sequence[str], payloads: Sequence[bytes], log_times_ns: Int64) -> Readings:
        """Decode one read's messages; log_times_ns int64 [n] stand in for the time of a payload that has none."""
        drops: list[Drop] = []
        messages: list[int] = []
        addresses: list[Address] = []
        decoded: list[msgspec.Struct] = []
        address_of, payload_bytes_max = self._addresses.get, self._payload_bytes_max
        decoders = [codec.decode_strict for codec in self._codecs]
        for index, (topic, payload) in enumerate(zip(topics, payloads, strict=True)):
            address = address_of(topic) or self._address(topic, drops)
            if address is None:
                continue
            if len(payload) > payload_bytes_max:
                drops.append(self._drop(address, topic, "too_large", f"{len(payload)} bytes"))
                continue
            try:
                reading = decoders[address.source](payload)
            except Unreadable:
                doubtful = self._read_with_care(address, topic, payload, drops)
                if doubtful is None:
                    continue
                reading = doubtful
            messages.append(index)
            addresses.append(address)
            decoded.append(reading)
        message = np.array(messages, np.int64)
        source = np.fromiter((address.source for address in addresses), np.int64, len(addresses))
        t_ns, impossible, x = self._columns(source, decoded, log_times_ns[message])
        missing = np.isnan(x)
        is_short = missing.any(axis=1) if missing.any() else np.zeros(len(x), np.bool_)
        empty = is_short & missing.all(axis=1)
        for faulty, reason, detail in (
            (impossible, "impossible_time", "before 1970 or not a time at all"),
            (empty, "no_channels", "no channel has a value"),
            (is_short & ~empty, "missing_channel", "the reading is used without it"),
        ):
            for row in np.flatnonzero(faulty).tolist():
                drops.append(self._drop(addresses[row], topics[messages[row]], reason, detail))
        readings = Readings(
            message=message,
            source=source,
            device=np.array([address.device for address in addresses], np.object_),
            t_ns=t_ns,
            x=x,
            drops=drops,
        )
        faulty = impossible | empty
        return readings.only(~faulty) if faulty.any() else readings

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

    def _read_with_care(self, address: Address, topic: str, payload: bytes, drops: list[Drop]) -> msgspec.Struct | None:
        """A payload that the strict decoder refuses: None, or a reading that is used with a doubt."""
        try:
            reading, doubt = self._codecs[address.source].decode(payload)
        except Undecodable as error:
            drops.append(self._drop(address, topic, error.reason, error.detail))
            return None
        drops.append(self._drop(address, topic, doubt, "no channel names this field; the reading is used"))
        return reading

    def _address(self, topic: str, drops: list[Drop]) -> Address | None:
        for index, pattern in enumerate(self._patterns):
            device = pattern.device(topic)
            if device is None:
                continue
            problem = device_id_problem(device, self._device_id_bytes_max)
            if problem:
                drops.append(Drop(self._sources[index].name, "", topic, "device_id", f"the device id {problem}"))
                return None
            if len(self._addresses) >= ADDRESSES_MAX:
                self._addresses.clear()
            address = self._addresses[topic] = Address(index, device)
            return address
        drops.append(Drop("", "", topic, "no_source", "no source's topic matches"))
        return None

    def _drop(self, address: Address, topic: str, reason: str, detail: str) -> Drop:
        return Drop(self._sources[address.source].name, address.device, topic, reason, detail)
