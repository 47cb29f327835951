"""Payloads that are trees: their leaves by path, and where in them the readings stand."""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from agent.decode.paths import LEVELS_MAX, Path
from agent.sample.levels import is_id, is_kind
from agent.sample.moments import looks_like_time
from agent.sources import PayloadForm
from agent.values.numbers import NUMBER_CHARS_MAX
from agent.values.value import BadValue, number_of_text

_BARE: Final = re.compile(r"[\w :/@%+*-]+")  # stands in a path as it is
_UNNAMED: Final = re.compile(r'["\\\x00-\x1f]')  # in no name of a path
LEAVES_MAX: Final = 2_048  # of one tree
READINGS_MAX: Final = 50  # of one payload that are looked at
NAMES: Final = ("name", "n", "id", "key", "tag", "metric", "channel", "sensor", "signal", "point", "variable", "field")
MACHINES: Final = ("device", "machine", "asset", "equipment", "host", "serial", "state", "status", "unit")
VALUES: Final = ("value", "v", "val", "reading", "raw_value", "y")


class Reading(NamedTuple):
    """A reading, the payload around it, and the text of the key that names its device, "" for none."""

    tree: Any
    payload: Any
    key: str = ""


def leaves(tree: object) -> dict[str, Any]:
    """Path -> value of what is no object, LEAVES_MAX at most; of arrays the whole."""
    return dict(islice(_walk(tree, (), ""), LEAVES_MAX))


def _walk(tree: object, names: tuple[str, ...], path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, dict):
        if path:
            yield path, tree
        return
    if len(names) >= LEVELS_MAX:
        return
    for key, value in tree.items():
        name = str(key)
        segment = _segment(name)
        if segment:
            yield from _walk(value, (*names, name), f"{path}.{segment}" if path else segment)


def _segment(name: str) -> str:
    """A name as it stands in a path, "" for one that cannot."""
    if _BARE.fullmatch(name):
        return name
    return f'"{name}"' if name and not _UNNAMED.search(name) else ""


def number_of(value: object, *, as_text: bool = True) -> float | None:
    """The number that a leaf is: true is 1, a text may be one; None for no number."""
    if isinstance(value, str):
        if not as_text or len(value) > NUMBER_CHARS_MAX or value.strip().lower() in ("null", "true", "false"):
            return None
        try:
            return number_of_text(value, "")
        except BadValue:
            return None
    if isinstance(value, bool | int | float):
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:
            return None
    return None


def form_of(tree: object) -> PayloadForm | None:
    """Where the readings of a payload stand, by this one payload; None where it has no numbers."""
    if isinstance(tree, list):
        return _form_of_array(tree, "")
    if not isinstance(tree, dict):
        return None
    if (keyed := _keyed(tree)) is not None:
        return PayloadForm(readings=keyed)
    if _are_columns(tree):
        return PayloadForm(form="columns")
    if _has_numbers(tree, as_text=False):
        return PayloadForm()
    for key, value in tree.items():
        segment = _segment(str(key))
        if segment and isinstance(value, list) and (form := _form_of_array(value, segment)) is not None:
            return form
        if segment and isinstance(value, dict) and (keyed := _keyed(value)) is not None:
            return PayloadForm(readings=f"{segment}.{keyed}")
    return PayloadForm() if _has_numbers(tree) else None


def _form_of_array(array: Sequence[object], path: str) -> PayloadForm | None:
    items = [one for one in array[:READINGS_MAX] if isinstance(one, dict)]
    if not items or len(items) < min(len(array), READINGS_MAX):
        return None
    for name in NAMES:
        for value in VALUES:
            if all(isinstance(one.get(name), str) and value in one for one in items) and any(
                number_of(one[value]) is not None for one in items
            ):
                return PayloadForm(readings=path, form="pairs", name=name, value=value)
    if (found := _pair_fields(items)) is not None:
        return PayloadForm(readings=path, form="pairs", name=found[0], value=found[1])
    return PayloadForm(readings=f"{path}[]") if any(map(_has_numbers, items)) else None


def _pair_fields(items: Sequence[dict[Any, Any]]) -> tuple[str, str] | None:
    """Other names for name and value: the one text that each item has another of, the one number that all have.

    Not where the texts look like ids, or each item has its own time: those are readings of machines, or a history.
    """
    fields = [{path: one[path] for path in one if isinstance(path, str) and _BARE.fullmatch(path)} for one in items]
    common = [path for path in fields[0] if all(path in one for one in fields)]
    timed = [path for path in common if looks_like_time(path)]
    texts = [path for path in common if all(isinstance(one[path], str) for one in fields)]
    names = [path for path in texts if path not in timed and len({one[path] for one in fields}) == len(fields) > 1]
    numbers = {path for one in fields for path, value in one.items() if number_of(value, as_text=False) is not None}
    values = numbers.difference(timed)
    if len(names) != 1 or len(values) != 1 or not values <= set(common) or names[0].lower() in MACHINES:
        return None
    if any(is_id(one[names[0]]) for one in fields) or any(len({repr(one[t]) for one in fields}) > 1 for t in timed):
        return None
    return names[0], values.pop()


def _keyed(tree: dict[Any, Any]) -> str | None:
    """`{device}` or `{device}[]` where the keys of an object name devices: its values are alike, and no numbers."""
    values = list(tree.values())[:READINGS_MAX]
    if not values or not all(map(_segment, map(str, tree))) or any(map(is_kind, map(str, tree))):
        return None
    if len(tree) == 1 and not any(is_id(key) or " " in key for key in map(str, tree)):
        return None
    if all(isinstance(one, list) and one and all(isinstance(row, dict) for row in one) for one in values):
        has_time = all(any(looks_like_time(path) for path in leaves(one[0])) for one in values)
        return "{device}[]" if has_time and all(_has_numbers(one[0]) for one in values) else None
    if len(values) < 2 or not all(isinstance(one, dict) and one for one in values):
        return None
    paths = [set(leaves(one)) for one in values]
    common = set.intersection(*paths)
    if 2 * len(common) < max(map(len, paths)) or any(key in common for key in VALUES) or not common:
        return None
    return "{device}" if all(map(_has_numbers, values)) else None


def _are_columns(tree: dict[Any, Any]) -> bool:
    arrays = [one for one in tree.values() if isinstance(one, list)]
    n_scalars = len(tree) - len(arrays)
    if len(arrays) < 2 or n_scalars > len(arrays) or len({len(one) for one in arrays}) != 1 or not arrays[0]:
        return False
    return all(not isinstance(item, dict | list) for one in arrays for item in one[:READINGS_MAX])


def _has_numbers(tree: object, *, as_text: bool = True) -> bool:
    """Whether it has a number that is no time; as_text: a text may be one, as many a serial number is."""
    found = leaves(tree).items()
    return any(number_of(value, as_text=as_text) is not None and not looks_like_time(path) for path, value in found)


def has_array_of_numbers(tree: object) -> bool:
    """Whether it, or one of its fields, is an array with a number, or an array with such an array."""
    arrays = [one for one in ([tree] if isinstance(tree, list) else leaves(tree).values()) if isinstance(one, list)]
    inner = [one for array in arrays for one in array[:READINGS_MAX] if isinstance(one, list)]
    return any(number_of(one) is not None for array in (*arrays, *inner) for one in array[:READINGS_MAX])


def readings_of(tree: object, form: PayloadForm) -> list[Reading]:
    """The readings of a payload, READINGS_MAX at most; those of pairs and columns as one tree of fields."""
    readings = [Reading(tree, tree)]
    for step in _steps(form.readings):
        readings = [one for reading in readings for one in islice(_into(reading, step), READINGS_MAX)][:READINGS_MAX]
    if form.form == "pairs":
        return [Reading(_of_pairs(one.tree, form), one.payload) for one in readings if isinstance(one.tree, list)]
    if form.form == "columns":
        return [
            Reading({key: value[0] if isinstance(value, list) and value else value for key, value in one.tree.items()},
                    one.payload)
            for one in readings if isinstance(one.tree, dict)
        ]  # fmt: skip
    return [one for one in readings if isinstance(one.tree, dict)]


def _steps(readings: str) -> list[str]:
    """`a.{device}[]` as `a`, `{}` and `[]`."""
    steps: list[str] = []
    while readings.endswith(("[]", "{device}")):
        end = "[]" if readings.endswith("[]") else "{device}"
        steps.insert(0, "[]" if end == "[]" else "{}")
        readings = readings.removesuffix(end).removesuffix(".")
    return [*(Path.parse(readings).names if readings else ()), *steps]


def _into(reading: Reading, step: str) -> Iterator[Reading]:
    tree = reading.tree
    if step == "[]":
        yield from (Reading(one, reading.payload, reading.key) for one in (tree if isinstance(tree, list) else ()))
    elif step == "{}":
        yield from (
            (Reading(one, reading.payload, str(key)) for key, one in tree.items()) if isinstance(tree, dict) else ()
        )
    elif isinstance(tree, dict) and step in tree:
        yield Reading(tree[step], reading.payload, reading.key)


def _of_pairs(pairs: Sequence[Any], form: PayloadForm) -> dict[str, Any]:
    """Name -> value."""
    rows = [one for one in pairs[:LEAVES_MAX] if isinstance(one, dict) and isinstance(one.get(form.name), str)]
    return {one[form.name]: one.get(form.value) for one in rows}
