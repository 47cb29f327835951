"""The protocol of a codec, and the codecs there are."""

from collections.abc import Callable
from typing import Protocol

from agent.decode.json_object import JsonObjectCodec
from agent.decode.readings import Payloads, Readings
from agent.words import Source


class Codec(Protocol):
    """Decodes the payloads of one source.

    A payload is data, whatever is in it: `decode` raises nothing for one. A bad payload is a fault with a reason of
    `agent.reasons` and changes no other reading, so a read may be cut or joined anywhere.

    A codec keeps nothing from one call to the next. One that must remember something of a device, such as the names
    that a birth message gives to numbers, keeps it in a group of columns of its own which the core registers with the
    slot table (`agent.devices`): so it is in the snapshot, and a replay of the same messages makes the same readings.
    """

    def decode(self, payloads: Payloads) -> Readings:
        """The readings, in the order of the payloads; x float32 [n, F], F the number of the source's fields.

        An event time that cannot be is IMPOSSIBLE_NS; missing values are NaN. The caller drops what has either for all
        channels. A codec that takes ids from payloads drops those that `device_id_problem` refuses.
        """
        ...


CODECS: dict[str, Callable[[Source], Codec]] = {
    "json_object": JsonObjectCodec,
}
