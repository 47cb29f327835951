"""Structs of payloads to the readings in them, and of attributes of many structs to columns, without a loop of ours."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, starmap
from operator import attrgetter
from struct import Struct
from struct import error as StructError
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

from agent.decode.paths import Keys, Step
from agent.decode.shape import Place
from agent.decode.typed import ABSENT
from agent.words import Bool, Devices, Int64

Float64 = npt.NDArray[np.float64]
_ABSENT_BITS: Final = np.array(ABSENT).view(np.int64)[()]
_STEP: Final = attrgetter("m0")  # a step is the first member of its node


@dataclass(frozen=True, slots=True)
class Found:
    """The readings of n payloads, r of them in their order.

    owner  int64 [r]   index of the payload of each; None where each is its own
    keys   objects [r] of text, one array a step that names something
    """

    payloads: Sequence[Any]
    readings: Sequence[Any]
    owner: Int64 | None
    keys: Sequence[Devices] = ()

    def counts(self) -> Int64:
        """int64 [n]: readings of each payload."""
        if self.owner is None:
            return np.ones(len(self.payloads), np.int64)
        return np.bincount(self.owner, minlength=len(self.payloads))

    def only(self, kept: Bool) -> "Found":
        """The readings where `kept` bool [r] says so; the payloads stay."""
        owner = np.arange(len(self.readings)) if self.owner is None else self.owner
        readings = [self.readings[row] for row in kept.nonzero()[0].tolist()]
        return Found(self.payloads, readings, owner[kept], [key[kept] for key in self.keys])

    def values(self, place: Place) -> list[Any]:
        """What stands at a place, one value a reading."""
        if not place.is_of_payload:
            return list(map(attrgetter(place.attribute), self.readings)) if place.attribute else list(self.readings)
        of_payloads = list(map(attrgetter(place.attribute), self.payloads))
        return of_payloads if self.owner is None else [of_payloads[owner] for owner in self.owner.tolist()]

    def of_payloads(self, values: Float64) -> Float64:
        """Rows float64 [n, k] of the payloads as those of their readings, float64 [r, k]."""
        return values if self.owner is None else values[self.owner]


def readings_of(payloads: Sequence[Any], steps: Sequence[Step]) -> Found:
    """The readings that stand at the end of `steps` in structs of payloads."""
    if not steps:
        return Found(payloads, payloads, None)
    owner, items = np.arange(len(payloads)), list(payloads)
    keys: list[Devices] = []
    for step in steps:
        if isinstance(step, str):
            items = list(map(_STEP, items))
            continue
        counts = np.fromiter(map(len, items), np.int64, len(items))
        owner, keys = owner.repeat(counts), [key.repeat(counts) for key in keys]
        if isinstance(step, Keys):
            keys.append(np.fromiter(chain.from_iterable(items), np.object_, len(owner)))
            items = list(map(dict.values, items))
        items = list(chain.from_iterable(items))
    return Found(payloads, items, owner, keys)


def number_getter(places: Sequence[Place], n_members: int) -> Callable[[Any], Any]:
    """Takes the numbers at `places`, in their order: a tuple, or for one place the number itself.

    n_members  of the struct: where they are just those, in this order, taking them all is faster
    """
    attributes = [place.attribute for place in places]
    if attributes == [f"m{index}" for index in range(n_members)] and len(attributes) > 1:
        return astuple
    return attrgetter(*attributes) if attributes else _nothing


def _nothing(one: object) -> tuple[()]:
    return ()


def floats(values: Callable[[], Iterable[Any]], n: int, *, tells_null: bool) -> Float64:
    """float64 [n] of the n numbers that `values` goes through, NaN where one is None.

    tells_null  that NaN is ABSENT, so that it is none that a payload sent
    """
    numbers = np.fromiter(values(), np.float64, n)
    if tells_null and is_odd(numbers).any():
        numbers = np.fromiter((ABSENT if value is None else value for value in values()), np.float64, n)
    return numbers


def matrix(getter: Callable[[Any], Any], objects: Sequence[Any], n: int, *, tells_null: bool) -> Float64:
    """float64 [objects, n] of the n numbers that `getter` takes from each; see `floats`."""
    if n > 1:
        with suppress(StructError):  # one is None. Half the time of numpy, which asks Python for each number
            return np.frombuffer(bytearray().join(starmap(Struct(f"{n}d").pack, map(getter, objects)))).reshape(-1, n)

    def values() -> Iterable[Any]:
        rows = map(getter, objects)
        return rows if n == 1 else chain.from_iterable(rows)

    return floats(values, len(objects) * n, tells_null=tells_null).reshape(len(objects), n)


def is_odd(numbers: Float64) -> Bool:
    """Where numbers of any shape are infinite or NaN, but not ABSENT."""
    odd: Bool = ~np.isfinite(numbers)
    return odd & (np.ascontiguousarray(numbers).view(np.int64) != _ABSENT_BITS) if odd.any() else odd


def text_of(tag: str | int | None) -> str:
    """A name or tag as text, "" for one that is absent, or a number so large that none is meant."""
    return tag if isinstance(tag, str) else str(tag) if isinstance(tag, int) and abs(tag) < 2**64 else ""
