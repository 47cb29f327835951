"""Where something stands in a payload that is a tree of objects and arrays.

A path is the names of fields, from the outermost on, with dots between them: `values.temp`. A name that holds a dot
stands in quotes: `"motor.speed".value`. It begins at the reading, or after `$.` at the payload.

The path to the readings says in which arrays and objects they stand: `metrics[]` means each element of an array,
`{device}` each value of an object, whose key is the device.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

LEVELS_MAX: Final = 8
_SEGMENT: Final = re.compile(r'"(?P<quoted>[^"]*)"|(?P<plain>[^."]+)')
_INDEX: Final = re.compile(r".*\[[0-9*]*\]")
_KEYS: Final = re.compile(r"\{([^{}]*)\}")


class Path(NamedTuple):
    """names from the payload's root where `is_of_payload`, from the reading otherwise; () means the whole of it."""

    names: tuple[str, ...]
    is_of_payload: bool = False

    @classmethod
    def parse(cls, text: str) -> "Path":
        """Raises ValueError that says what is wrong with `text`."""
        is_of_payload = text.startswith("$.")
        names = []
        for name, is_quoted in _segments(text.removeprefix("$.") if is_of_payload else text):
            if not is_quoted and _INDEX.fullmatch(name):
                raise ValueError(f"{text!r} goes into an array: `payload.readings` does that, or quote the name")
            if not is_quoted and _KEYS.fullmatch(name):
                raise ValueError(f"{text!r} has a name in braces: `payload.readings` takes that, or quote the name")
            names.append(name)
        return cls(tuple(names), is_of_payload)


def path_problem(text: str) -> str:
    """Why a path names no field of a payload, "" when it does."""
    try:
        return "" if Path.parse(text).names else "it is empty, and a field of the payload is meant"
    except ValueError as error:
        return str(error)


class Each(NamedTuple):
    """Each element of an array."""


class Keys(NamedTuple):
    """Each value of an object; `name` is what its key tells."""

    name: str


Step = str | Each | Keys


def readings_steps(text: str) -> tuple[Step, ...]:
    """How to get from a payload to its readings. Raises ValueError that says what is wrong with `text`."""
    steps: list[Step] = []
    for name, is_quoted in _segments(text.removeprefix("$.")):
        plain = name if is_quoted else name.rstrip("[]")
        n_arrays = (len(name) - len(plain)) // 2
        if name != plain + "[]" * n_arrays:
            raise ValueError(f"{text!r} has a bracket without its partner: `[]` means each element of an array")
        if not is_quoted and (keys := _KEYS.fullmatch(plain)):
            steps.append(Keys(keys[1]))
        elif plain or is_quoted:
            steps.append(plain)
        steps += [Each()] * n_arrays
    if len(steps) > LEVELS_MAX:
        raise ValueError(f"{text!r} is more than {LEVELS_MAX} levels deep")
    if steps and isinstance(steps[-1], str) and not all(isinstance(step, str) for step in steps):
        raise ValueError(f"{text!r} must end with `[]` or with a name in braces, or have none")
    return tuple(steps)


def _segments(text: str) -> Iterator[tuple[str, bool]]:
    """The names of a path, and whether they stood in quotes."""
    at, n_levels = 0, 0
    while at < len(text):
        match = _SEGMENT.match(text, at)
        if match is None or text[match.end() : match.end() + 1] not in ("", ".") or text.endswith("."):
            what = "names with dots between them, as in values.temp; a name that holds a dot stands in quotes"
            raise ValueError(f"{text!r} is no path: {what}")
        name = match["quoted"] if match["plain"] is None else match["plain"]
        if any(char in '"\\' or char < " " for char in name):
            raise ValueError(f"{name!r} holds a quote, a backslash or a control character, which cannot be read")
        n_levels += 1
        if n_levels > LEVELS_MAX:
            raise ValueError(f"{text!r} is more than {LEVELS_MAX} levels deep")
        yield name, match["plain"] is None
        at = match.end() + 1


def path_of(name: str) -> str:
    """The path of a field of this name: in quotes where a character of it would mean something in a path."""
    return f'"{name}"' if set(name) & set(".[]{}") or name.startswith("$") else name
