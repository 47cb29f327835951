"""Messages -> readings: which source and device a topic means, what a payload says, and what is dropped on the way.

Python touches each message once, here; what comes out are columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.decode.json_object import JsonObjectCodec, Undecodable
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
        messages: list[list[int]] = [[] for _ in self._sources]
        times: list[list[Any]] = [[] for _ in self._sources]
        rows: list[list[tuple[Any, ...]]] = [[] for _ in self._sources]
        known: dict[int, Address] = {}
        for index, (topic, payload) in enumerate(zip(topics, payloads, strict=True)):
            address = self._addresses.get(topic) or self._address(topic, drops)
            if address is None:
                continue
            source = address.source
            if len(payload) > self._payload_bytes_max:
                drops.append(self._drop(address, topic, "too_large", f"{len(payload)} bytes"))
                continue
            try:
                reading, doubt = self._codecs[source].decode(payload)
            except Undecodable as error:
                drops.append(self._drop(address, topic, error.reason, error.detail))
                continue
            if doubt:
                drops.append(self._drop(address, topic, doubt, "no channel names this field; the reading is used"))
            known[index] = address
            messages[source].append(index)
            times[source].append(reading[0])
            rows[source].append(reading[1:])
        parts = [
            self._columns(source, messages[source], times[source], rows[source], topics, known, log_times_ns, drops)
            for source in range(len(self._sources))
        ]
        message, t_ns, x = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(message, kind="stable")
        message = message[order]
        addresses = [known[index] for index in message.tolist()]
        return Readings(
            message=message,
            source=np.fromiter((address.source for address in addresses), np.int64, len(addresses)),
            device=np.array([address.device for address in addresses], np.object_),
            t_ns=t_ns[order],
            x=x[order],
            drops=drops,
        )

    def _columns(
        self,
        source: int,
        messages: list[int],
        times: list[Any],
        rows: list[tuple[Any, ...]],
        topics: Sequence[str],
        known: dict[int, Address],
        log_times_ns: Int64,
        drops: list[Drop],
    ) -> tuple[Int64, Int64, Float32]:
        """One source's readings (message [n], t_ns [n], x [n, F]), less those with no possible time or no value."""
        message = np.array(messages, np.int64)
        arrived_ns = log_times_ns[message]
        t_ns, impossible = self._codecs[source].times_ns(times, arrived_ns)
        values = np.array(rows, np.float64).reshape(len(rows), self._n_channels)
        with np.errstate(over="ignore"):  # the graph clips an infinite value, and the quality says out_of_domain
            x = values.astype(np.float32)
        missing = np.isnan(x)
        empty = missing.all(axis=1)
        future = self._is_future(source, t_ns, arrived_ns)
        for faulty, reason, detail in (
            (impossible, "impossible_time", "before 1970 or not a time at all"),
            (future, "future", "its time is ahead of its arrival by more than future_max"),
            (empty, "no_channels", "no channel has a value"),
            (missing.any(axis=1) & ~empty, "missing_channel", "the reading is used without it"),
        ):
            for place in np.flatnonzero(faulty):
                index = messages[place]
                drops.append(self._drop(known[index], topics[index], reason, detail))
        keep = ~(impossible | future | empty)
        return message[keep], t_ns[keep], x[keep]

    def _is_future(self, source: int, t_ns: Int64, arrived_ns: Int64) -> Bool:
        if self._sources[source].time_unit in ("cycle", "arrival"):
            return np.zeros(len(t_ns), np.bool_)
        future: Bool = t_ns - arrived_ns > round(self._sources[source].future_max_s * 1e9)
        return future

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
