"""The protocol of a codec, and the codecs there are."""

from collections.abc import Callable, Sequence
from typing import Protocol

from agent.decode.json_object import JsonObjectCodec
from agent.decode.readings import Decoded
from agent.words import Int64, Source


class Codec(Protocol):
    """Decodes the payloads of one source.

    A payload is data, whatever is in it: `decode` raises nothing for one. A bad payload is a fault with a reason of
    `agent.reasons` and changes no other reading, so a read may be cut or joined anywhere.

    A codec keeps nothing from one call to the next. One that must remember something of a device, such as the names
    that a birth message gives to numbers, keeps it in a group of columns of its own which the core registers with the
    slot table (`agent.devices`): so it is in the snapshot, and a replay of the same messages makes the same readings.
    """

    def decode(self, payloads: Sequence[bytes], arrived_ns: Int64) -> Decoded:
        """The readings of payloads, none longer than the configured bound.

        arrived_ns  int64, one a payload: its event time where a payload has none of its own

        The caller drops readings with a time that cannot be or without any value, and notes missing ones. A codec that
        takes ids from payloads makes a fault `device_id` of those that `agent.decode.topic.device_id_problem` refuses.
        """
        ...


CODECS: dict[str, Callable[[Source], Codec]] = {
    "json_object": JsonObjectCodec,
}
