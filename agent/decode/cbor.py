"""The codec `cbor`: RFC 8949.

cbor2 makes plain objects of a payload, which msgspec converts to structs. Of the tags, those for times, large numbers
and decimal fractions are read as what they mean. Payloads with a tag for references, regular expressions, mail and the
like are refused: they are no telemetry, and a reference lets a small payload hold itself without end. Bytes after the
first data item are not read.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import cbor2
import msgspec

from agent.decode.tree_codec import Encoding, TreeCodec
from agent.errors import Unreadable

_REFUSED_TAGS: Final = (25, 28, 29, 30, 35, 36, 37, 256, 258, 260, 261, 43000)
_SELF_DESCRIBED: Final = b"\xd9\xd9\xf7"  # the tag 55799, which says that CBOR follows
_BEYOND: Final = 10**400  # beyond any double, as an int can be
_MANTISSA_BITS_MAX: Final = 1100  # a double has no more
_EXPONENT_MAX: Final = 2**31
_EXACT_POWERS: Final = 22  # of 10, in a double
_ERRORS: Final = (*Unreadable, cbor2.CBORDecodeError, ValueError)


def _refuse(value: object, immutable: bool) -> object:
    raise ValueError("a tag that no telemetry needs")


def _decimal_fraction(value: object, immutable: bool) -> float:
    """The tag 4, mantissa times a power of 10; what cbor2 makes of it can take seconds for a long mantissa."""
    exponent, mantissa = _pair(value)
    if -_EXACT_POWERS <= exponent <= 0 and abs(mantissa) < 2**53:
        return mantissa / 10.0**-exponent  # both are exact, so this is the nearest double, and sooner
    number = float(f"{mantissa}e{exponent}")
    return number if math.isfinite(number) else _BEYOND


def _big_float(value: object, immutable: bool) -> float:
    """The tag 5, mantissa times a power of 2."""
    exponent, mantissa = _pair(value)
    try:
        return math.ldexp(mantissa, exponent)
    except OverflowError:
        return _BEYOND


def _pair(value: object) -> tuple[int, int]:
    """Exponent and mantissa, none too long. Raises ValueError."""
    if isinstance(value, list | tuple) and [type(one) for one in value] == [int, int]:
        exponent, mantissa = value
        if abs(exponent) <= _EXPONENT_MAX and mantissa.bit_length() <= _MANTISSA_BITS_MAX:
            return exponent, mantissa
    raise ValueError("not an exponent and a mantissa of a double")


_TAGS: Final = dict.fromkeys(_REFUSED_TAGS, _refuse) | {4: _decimal_fraction, 5: _big_float}
_loads = partial(cbor2.loads, semantic_decoders=_TAGS)


def parse(payload: bytes) -> object:
    """Plain objects of a data item. Raises one of `_ERRORS`."""
    return _loads(payload.removeprefix(_SELF_DESCRIBED))


def _decoder(kind: Any, is_strict: bool) -> Callable[[bytes], Any]:
    to_structs = partial(msgspec.convert, type=kind, strict=is_strict)
    return lambda payload: to_structs(_loads(payload.removeprefix(_SELF_DESCRIBED)))


ENCODING: Final = Encoding(_decoder, parse, _ERRORS, fields_max=lambda payload: len(payload) // 2, checks_numbers=True)


class CborCodec(TreeCodec):
    """Decodes the payloads of one source."""

    encoding = ENCODING
