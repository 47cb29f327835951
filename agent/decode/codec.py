"""The protocol of a codec, and the codecs there are."""

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from agent.decode.alert_command import ALERT_COMMAND, AlertCommandCodec
from agent.decode.cbor import CborCodec
from agent.decode.command import COMMAND, CommandCodec
from agent.decode.events import coded
from agent.decode.influx import InfluxCodec
from agent.decode.json import JsonCodec
from agent.decode.label_command import LABEL_COMMAND, LabelCommandCodec
from agent.decode.msgpack import MsgpackCodec
from agent.decode.packed_float32 import PackedFloat32Codec
from agent.decode.readings import Batch, Decoded
from agent.decode.senml import SenmlCodec
from agent.decode.senml_cbor import SenmlCborCodec
from agent.decode.sparkplug import SparkplugCodec
from agent.decode.text_value import TextValueCodec
from agent.sources import Source


class Decoder(Protocol):
    """Makes readings of payloads."""

    def decode(self, batch: Batch) -> Decoded:
        """The readings of payloads, none longer than the configured bound.

        The caller drops readings with a time that cannot be or without any value, refuses device ids that cannot be,
        notes missing channels, and makes engineering units of numbers.
        """
        ...


class Codec(Decoder, Protocol):
    """Decodes the payloads of one source.

    A payload is data, whatever is in it: `decode` raises nothing for one. A bad payload is a fault with a reason of
    `agent.reasons` and changes no other reading, so a read may be cut or joined anywhere. A payload that is dropped has
    one fault, and no doubts beside it.
    """

    def __init__(self, source: Source) -> None: ...

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """Settings of a source that the codec cannot use: the key, such as `channels.temp`, and what is wrong."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A codec that knows something from one call to the next, such as the names that a birth gives to numbers.

    It is kept in the snapshot, so that a replay of the same messages makes the same readings.
    """

    def keep(self) -> bytes: ...

    def restore(self, kept: bytes) -> None:
        """Take over what `keep` gave. Raises ValueError for anything else, changing nothing."""
        ...


CODECS: dict[str, type[Codec]] = {
    "cbor": CborCodec,
    "float32": PackedFloat32Codec,
    "influx": InfluxCodec,
    "json": JsonCodec,
    "msgpack": MsgpackCodec,
    "senml": SenmlCodec,
    "senml_cbor": SenmlCborCodec,
    "text": TextValueCodec,
    "sparkplug": SparkplugCodec,
}
OF_COMMANDS: dict[str, Callable[[Source], Decoder]] = {
    COMMAND: CommandCodec,
    LABEL_COMMAND: LabelCommandCodec,
    ALERT_COMMAND: AlertCommandCodec,
}
TREES = frozenset({"json", "cbor", "msgpack"})  # codecs whose fields are paths
SEVERAL_TOPICS = frozenset({"sparkplug"})  # codecs whose devices send on several topics, one a kind of message


def codec_of(source: Source) -> Decoder:
    """What reads the source's payloads: one of CODECS, or of those of commands, which no configuration names."""
    return OF_COMMANDS[source.codec](source) if source.codec in OF_COMMANDS else CODECS[source.codec](coded(source))
