"""The codec `msgpack`: MessagePack. Its timestamp extension is read as a time; other extensions are no values."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from agent.decode.tree_codec import Encoding, TreeCodec
from agent.errors import Unreadable


def _decoder(kind: Any, is_strict: bool) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(kind, strict=is_strict).decode


ENCODING: Final = Encoding(
    _decoder, msgspec.msgpack.decode, Unreadable, fields_max=lambda payload: len(payload) // 2, checks_numbers=True
)


class MsgpackCodec(TreeCodec):
    """Decodes the payloads of one source."""

    encoding = ENCODING
