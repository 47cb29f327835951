"""The codec `json`: RFC 8259, and what devices send that is nearly JSON.

A byte order mark is passed over. Bare `nan`, `Infinity` and the like, which many libraries write, are read as texts, so
that they cost their channel and not the reading; so are numbers of more digits than any double has.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from agent.decode.tree_codec import Encoding, TreeCodec
from agent.errors import Unreadable

_BOM: Final = b"\xef\xbb\xbf"
_BEYOND: Final = 10**400  # beyond any double, as an int can be
# A string, up to its quote or the end, then what is no JSON outside of one. The search is linear, since parts are
# possessive and digits begin behind none.
_NEARLY: Final = re.compile(
    rb'"(?:[^"\\]++|\\.)*+"?'
    rb"|(?P<word>[-+]?(?:nan(?:\(ind\))?|inf(?:inity)?)(?![0-9a-z_]))"
    rb"|(?P<digits>(?:-|(?<![0-9]))[0-9]{400,}+(?:\.[0-9]++)?(?:e[-+]?[0-9]++)?)",
    re.IGNORECASE | re.DOTALL,
)


def _decoder(kind: Any, is_strict: bool) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind, strict=is_strict).decode


def parse(payload: bytes) -> object:
    """Plain objects of what is JSON or nearly so. Raises one of `Unreadable`."""
    payload = payload.removeprefix(_BOM)
    try:
        return msgspec.json.decode(payload)
    except Unreadable:
        return _PATIENT(_NEARLY.sub(_as_json, payload))


def _as_json(match: re.Match[bytes]) -> bytes:
    if match["word"] is not None:
        return b'"' + match["word"] + b'"'
    return b"1e999" if match["digits"] is not None else match[0]


def _float(text: str) -> float | int:
    number = float(text)
    return number if abs(number) != float("inf") else _BEYOND


_PATIENT: Final = msgspec.json.Decoder(float_hook=_float).decode
ENCODING: Final = Encoding(
    _decoder, parse, Unreadable, fields_max=lambda payload: payload.count(b":"), checks_numbers=False
)


class JsonCodec(TreeCodec):
    """Decodes the payloads of one source."""

    encoding = ENCODING
