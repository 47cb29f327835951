"""A configuration as TOML text with comments, whatever the names in it are made of."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SHORT: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
COMMENT_AT: Final = 48  # the column where comments begin, if there is room


def quoted(text: str) -> str:
    """A basic string; what cannot be printed is written as its number."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    return f"\\u{ord(char):04X}" if ord(char) < 2**16 else f"\\U{ord(char):08X}"


def key(name: str) -> str:
    """A key, bare where that can be."""
    return name if _BARE.fullmatch(name) else quoted(name)


def value(setting: object) -> str:
    """A value in one line. Raises TypeError for what has no form."""
    if isinstance(setting, bool):
        return str(setting).lower()
    if isinstance(setting, str):
        return quoted(setting)
    if isinstance(setting, int | float):
        return "nan" if math.isnan(setting) else f"{setting:g}"
    if isinstance(setting, Mapping):
        return "{ " + ", ".join(f"{key(name)} = {value(one)}" for name, one in setting.items()) + " }"
    if isinstance(setting, Sequence):
        return "[" + ", ".join(map(value, setting)) + "]"
    raise TypeError(f"{type(setting).__name__} has no form in TOML")


def table(header: str, settings: Mapping[str, Any], why: Mapping[str, str]) -> Iterator[str]:
    """The lines of a table, its channels as a table of its own at the end; `why`: key -> comment."""
    yield header
    for name, setting in settings.items():
        if name != "channels":
            yield line(f"{key(name)} = {value(setting)}", why.get(name, ""))
    if "channels" in settings:
        yield line("[source.channels]", why.get("channels", ""))
        for name, setting in settings["channels"].items():
            yield f"{key(name)} = {value(setting)}"


def line(text: str, comment: str) -> str:
    """With a comment behind it, in which nothing can end the line."""
    safe = "".join(char if char.isprintable() else "?" for char in comment)
    return f"{text:<{COMMENT_AT - 2}}  # {safe}" if safe else text
