"""The line of each key of a TOML text, which tomllib does not tell.

A line-by-line look, not a second parser: it may miss a key (an inline table's, or a strange way to write one), and then
the line of what encloses it is used.
"""

import re
from collections.abc import Iterator

Key = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def lines(text: str) -> Iterator[tuple[Key, int]]:
    """The line of each key and header, as far as a line-by-line look can tell."""
    table: Key = ()
    arrays: dict[Key, int] = {}
    in_string = False
    for number, line in enumerate(text.splitlines(), 1):
        was_in_string = in_string
        in_string ^= bool((line.count('"""') + line.count("'''")) % 2)
        if was_in_string:
            continue
        header, key = _HEADER.fullmatch(line), _KEY.match(line)
        if header:
            name = _parts(header[2])
            if header[1] == "[[":
                if name not in arrays:
                    yield name, number
                arrays[name] = arrays.get(name, -1) + 1
                table = (*name, arrays[name])
            elif name[:1] in arrays:
                table = (*name[:1], arrays[name[:1]], *name[1:])
            else:
                table = name
            yield table, number
        elif key:
            yield (*table, *_parts(key[1])), number


def _parts(text: str) -> Key:
    return tuple(part.strip("\"'") for part in _PART.findall(text))
