"""Per-device columns: one numpy array a property, one element a slot, grown together by doubling.

A *column group* is a dataclass whose fields are made by `column`; each field is an array [capacity] or
[capacity, width]. One stage owns a group: it makes it with `Slots.register`, and it alone writes its columns.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]


def column(dtype: type[np.generic], empty: float) -> Any:  # a dataclass field stands in for the array it will hold
    """A column of `dtype` in which a slot without a device holds `empty`."""
    return field(metadata={"dtype": np.dtype(dtype), "empty": empty})


class Columns:
    """What every column group can do: make, grow, clear, list, take over."""

    @classmethod
    def empty(cls, capacity: int, **widths: int) -> Self:
        """Columns for `capacity` slots; a field named in `widths` is an array [capacity, width]."""
        arrays = {}
        for name, dtype, empty in cls.layout():
            shape = (capacity, widths[name]) if name in widths else (capacity,)
            arrays[name] = np.full(shape, empty, dtype)
        return cls(**arrays)

    @classmethod
    def layout(cls) -> Iterator[tuple[str, np.dtype[Any], float]]:
        """Name, dtype and empty value of each column, in the order of the fields."""
        for one in fields(cls):  # type: ignore[arg-type]  # every subclass is a dataclass
            yield one.name, one.metadata["dtype"], one.metadata["empty"]

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` slots; the slots there are keep their values."""
        for name, dtype, empty in self.layout():
            old: AnyArray = getattr(self, name)
            new = np.full((capacity, *old.shape[1:]), empty, dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def clear(self, slot: int) -> None:
        """Make a slot as if no device had ever used it."""
        for name, _, empty in self.layout():
            getattr(self, name)[slot] = empty

    def reset(self) -> None:
        """Make every slot as if no device had ever used it."""
        for name, _, empty in self.layout():
            getattr(self, name)[:] = empty

    def refill(self, arrays: Mapping[str, AnyArray]) -> None:
        """Every slot anew: the first n as `arrays` [n, ...] has them, the others empty."""
        self.reset()
        for name, array in arrays.items():
            getattr(self, name)[: len(array)] = array

    def arrays(self, n_slots: int) -> dict[str, AnyArray]:
        """The first `n_slots` of each column, as views."""
        return {name: getattr(self, name)[:n_slots] for name, _, _ in self.layout()}
