"""Channels: fields that have numbers, truth values, or words that stand for them, and how they are called."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent.decode.paths import Path
from agent.sample.moments import looks_like_time
from agent.sample.trees import VALUES, number_of

CHANNELS_MAX: Final = 256  # of one source; who needs more writes them
TEXTS_MAX: Final = 8  # different ones that are kept of a field
UNITS: Final = ("unit", "units", "uom", "u", "unitOfMeasurement", "unit_of_measurement")
_PAIRS: Final = (
    ("on", "off"), ("open", "closed"), ("running", "stopped"), ("yes", "no"), ("active", "inactive"),
    ("online", "offline"), ("connected", "disconnected"), ("high", "low"), ("start", "stop"), ("true", "false"),
    ("up", "down"), ("detected", "clear"), ("enabled", "disabled"),
)  # fmt: skip
_WORDS: Final = {word: float(1 - place) for pair in _PAIRS for place, word in enumerate(pair)}
_NO_VALUE: Final = ("unavailable", "unknown", "none", "n/a", "na", "nan", "null", "error", "--")
_SHORT_NUMBER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,17})?")
_CLOCK_MIN: Final = 1e9  # a number in a field that is called like a time: seconds since 1970 or smaller units
Setting = str | dict[str, Any]


@dataclass(slots=True)
class Field:
    """What was seen of one field."""

    n_numbers: int = 0
    n_truths: int = 0
    n_number_texts: int = 0
    texts: set[str] = field(default_factory=set)
    unit: str = ""
    largest: float = 0.0

    def add(self, value: object, *, is_text_codec: bool = False) -> None:
        """Take a value. is_text_codec: numbers come as texts by nature"""
        number = number_of(value)
        if number is not None and (not isinstance(value, str) or is_text_codec):
            self.n_numbers += 1
            self.largest = max(self.largest, abs(number))
        elif isinstance(value, str):
            if _SHORT_NUMBER.fullmatch(value.strip()):
                self.n_number_texts += 1
            elif is_text_codec and value.strip().lower() in ("true", "false"):
                self.n_truths += 1
            elif len(self.texts) < TEXTS_MAX:
                self.texts.add(value[:100])

    @property
    def n(self) -> int:
        """How often something was seen of which a number can be made."""
        return self.n_numbers + self.n_truths + self.n_number_texts + len(self.texts)

    @property
    def words(self) -> dict[str, float] | None:
        """What its texts stand for, None where one of them is no known word. With ON stands OFF, too."""
        words: dict[str, float] = {}
        for text in sorted(self.texts):
            low = text.strip().lower()
            if low in _NO_VALUE:
                words[text] = math.nan
            elif low in _WORDS:
                pair = next(one for one in _PAIRS if low in one)
                words |= {_like(word, text): _WORDS[word] for word in pair} | {text: _WORDS[low]}
            else:
                return None
        return words

    @property
    def is_channel(self) -> bool:
        """Whether a number can be made of what was seen."""
        words = self.words
        has_words = bool(words) and any(not math.isnan(one) for one in (words or {}).values())
        return bool(self.n_numbers or self.n_truths or self.n_number_texts or has_words)


def _like(word: str, text: str) -> str:
    """A word in the case of a text."""
    return word.upper() if text.isupper() else word.capitalize() if text[:1].isupper() else word


def fields_of(
    leaves: Iterable[Mapping[str, Any]], left_out: Collection[str], *, are_paths: bool = True
) -> dict[str, Field]:
    """The fields of readings that can be channels, without those `left_out`, in their first order.

    are_paths  dots part a field from what it is in, so that `temp.unit` says the unit of `temp.value`
    """
    fields: dict[str, Field] = {}
    units: dict[str, str] = {}
    for reading in leaves:
        for path, value in reading.items():
            parent, _, last = path.rpartition(".") if are_paths else ("", "", path)
            if last in UNITS and isinstance(value, str) and are_paths:
                units.setdefault(parent, value)
            else:
                fields.setdefault(path, Field()).add(value)
    kept = {}
    for path, of_path in fields.items():
        parent = path.rpartition(".")[0] if are_paths else ""
        is_clock = looks_like_time(path) and of_path.largest >= _CLOCK_MIN
        if of_path.is_channel and path not in left_out and not is_clock:
            has_unit = units.get(parent, "") and last_name(path) in VALUES
            of_path.unit = units[parent][:32] if has_unit and units[parent].isprintable() else ""
            kept[path] = of_path
    return _without_conflicts(kept, left_out) if are_paths else kept


def _without_conflicts(fields: dict[str, Field], left_out: Iterable[str]) -> dict[str, Field]:
    """Without `temp.value` where `temp` is seen oftener as a number, and the other way round: one source has one."""
    inner: set[str] = set()
    taken = {path for path in left_out if path}
    for path in taken:
        inner.update(_outer(path))
    for path in sorted(fields, key=lambda one: -fields[one].n):
        if path not in inner and taken.isdisjoint(_outer(path)):
            taken.add(path)
            inner.update(_outer(path))
    return {path: one for path, one in fields.items() if path in taken}


def _outer(path: str) -> list[str]:
    """The paths of what a field stands in."""
    return [path[:at] for at, char in enumerate(path) if char == "."]


def last_name(path: str) -> str:
    """The last name of a path."""
    try:
        names = Path.parse(path).names
    except ValueError:
        names = ()
    return names[-1] if names else path


def settings_of(fields: Mapping[str, Field], *, are_paths: bool = True) -> dict[str, Setting]:
    """`channels` of a source: name -> its field, or a table where it has words or a unit."""
    named: dict[str, Setting] = {}
    for path, of_path in [*fields.items()][:CHANNELS_MAX]:
        name = _name(path, named, are_paths=are_paths)
        table: dict[str, Any] = {"field": path}
        if of_path.unit:
            table["unit"] = of_path.unit
        if of_path.words:
            table["words"] = of_path.words
        named[name] = path if len(table) == 1 else table
    return named


def _name(path: str, taken: Mapping[str, Setting], *, are_paths: bool) -> str:
    """The last name of a path that says something, with those before it as far as needed to be another one's."""
    names: tuple[str, ...]
    try:
        names = Path.parse(path).names if are_paths else ()
    except ValueError:
        names = ()
    names = names or tuple(part for part in re.split(r"[./]", path) if part) or (path,)
    if len(names) > 1 and names[-1].lower() in VALUES:
        names = names[:-1]
    for n_names in range(1, len(names) + 1):
        name = "_".join(names[-n_names:])
        if name not in taken:
            return name
    return next(name for count in range(2, len(taken) + 3) if (name := f"{'_'.join(names)}_{count}") not in taken)
