"""The codec `msgpack`: MessagePack. Its timestamp extension is read as a time; other extensions are no values."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from agent.decode.tree_codec import Encoding, TreeCodec, tree_problems
from agent.errors import Unreadable
from agent.words import Source


class MsgpackCodec(TreeCodec):
    """Decodes the payloads of one source."""

    def __init__(self, source: Source) -> None:
        super().__init__(source, ENCODING)

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """See `agent.decode.codec`."""
        return tree_problems(source)


def _decoder(kind: Any, is_strict: bool) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(kind, strict=is_strict).decode


ENCODING: Final = Encoding(
    _decoder, msgspec.msgpack.decode, Unreadable, fields_max=lambda payload: len(payload) // 2, checks_numbers=True
)
