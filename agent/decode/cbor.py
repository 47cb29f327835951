"""The codec `cbor`: RFC 8949.

cbor2 makes plain objects of a payload, which msgspec converts to structs. Of the tags, those for times, large numbers
and decimal fractions are read as what they mean. Payloads with a tag for references, regular expressions, mail and the
like are refused: they are no telemetry, and a reference lets a small payload hold itself without end. Bytes after the
first data item are not read.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import cbor2
import msgspec

from agent.decode.tree_codec import Encoding, TreeCodec, tree_problems
from agent.errors import Unreadable
from agent.words import Source


class CborCodec(TreeCodec):
    """Decodes the payloads of one source."""

    def __init__(self, source: Source) -> None:
        super().__init__(source, ENCODING)

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """See `agent.decode.codec`."""
        return tree_problems(source)


_REFUSED_TAGS: Final = (25, 28, 29, 30, 35, 36, 256, 258)
_SELF_DESCRIBED: Final = b"\xd9\xd9\xf7"  # the tag 55799, which says that CBOR follows
_ERRORS: Final = (*Unreadable, cbor2.CBORDecodeError, ValueError)


def _refuse(value: object, immutable: bool) -> object:
    raise ValueError("a tag that no telemetry needs")


_loads = partial(cbor2.loads, semantic_decoders=dict.fromkeys(_REFUSED_TAGS, _refuse))


def parse(payload: bytes) -> object:
    """Plain objects of a data item. Raises one of `_ERRORS`."""
    return _loads(payload.removeprefix(_SELF_DESCRIBED))


def _decoder(kind: Any, is_strict: bool) -> Callable[[bytes], Any]:
    to_structs = partial(msgspec.convert, type=kind, strict=is_strict)
    return lambda payload: to_structs(_loads(payload.removeprefix(_SELF_DESCRIBED)))


ENCODING: Final = Encoding(_decoder, parse, _ERRORS, fields_max=lambda payload: len(payload) // 2, checks_numbers=True)
