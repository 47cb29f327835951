"""Per-device columns: one numpy array a property, one element a slot, grown together by doubling.

A *column group* is a dataclass whose fields are made by `column`; each field is an array [capacity] or
[capacity, width]. One stage owns a group: it makes it with `Slots.register`, and it alone writes its columns.

A snapshot wants all groups as they are at one moment, and copying 100,000 devices takes longer than the stream can
wait. So a `GroupCopy` copies columns with one value a device at once, and the wide ones, where the bytes are, a few
slots at a time while the stream goes on. An owner says which slots of wide columns it is about to write
(`Columns.before_write`): those that are not copied yet are copied first. Each slot is copied once, whatever happens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from agent.words import Int64

AnyArray = npt.NDArray[Any]


def column(dtype: type[np.generic], empty: float, *, may_lack: bool = False) -> Any:  # stands in for the array
    """A column of `dtype` in which a slot without a device holds `empty`.

    may_lack  it came with a later version, and a snapshot without it has lost nothing of its devices
    """
    return field(metadata={"dtype": np.dtype(dtype), "empty": empty, "may_lack": may_lack})


class Columns:
    """What every column group can do: make, grow, clear, list, take over, be copied."""

    _copy: "GroupCopy | None" = None  # the one that still lacks slots

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

    @classmethod
    def may_lack(cls) -> frozenset[str]:
        """Names of the columns that a snapshot may lack."""
        return frozenset(one.name for one in fields(cls) if one.metadata["may_lack"])  # type: ignore[arg-type]

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` slots; the slots there are keep their values."""
        for name, dtype, empty in self.layout():
            old: AnyArray = getattr(self, name)
            new = np.full((capacity, *old.shape[1:]), empty, dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def clear(self, slot: int) -> None:
        """Make a slot as if no device had ever used it."""
        self.before_write(slot)
        for name, _, empty in self.layout():
            getattr(self, name)[slot] = empty

    def reset(self) -> None:
        """Make every slot as if no device had ever used it."""
        if self._copy is not None:
            self._copy.copy_all()
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

    def begin_copy(self, n_slots: int) -> "GroupCopy":
        """A copy of the first `n_slots` as they are now. Raises RuntimeError while another one lacks slots."""
        if self._copy is not None:
            raise RuntimeError("a copy of this column group has not ended yet")
        copy = GroupCopy(self, n_slots)
        self._copy = None if copy.is_whole else copy
        return copy

    def end_copy(self) -> None:
        """The copy needs nothing any more."""
        self._copy = None

    def before_write(self, slots: Int64 | int) -> None:
        """Wide columns of these slots, int64 [b], are about to be written: what a copy lacks of them is copied now."""
        if self._copy is not None:
            self._copy.copy_slots(np.atleast_1d(slots))


class GroupCopy:
    """The first n slots of a group as they were when this was made.

    arrays  by column, [n] or [n, width]; those that are wide are what they should be once `is_whole`
    """

    def __init__(self, columns: Columns, n_slots: int) -> None:
        own = columns.arrays(n_slots)
        self.arrays = {name: np.empty_like(array) if array.ndim > 1 else array.copy() for name, array in own.items()}
        self._columns = columns
        self._wide = {name: array for name, array in self.arrays.items() if array.ndim > 1}
        self._slot_bytes = sum(array.strides[0] for array in self._wide.values())
        self._is_left = np.ones(n_slots, np.bool_)
        self._n_passed = 0 if self._wide else n_slots

    @property
    def is_whole(self) -> bool:
        return self._n_passed == len(self._is_left)

    @property
    def n_bytes_left(self) -> int:
        """At most so many are not copied yet."""
        return (len(self._is_left) - self._n_passed) * self._slot_bytes

    def copy_next(self, n_bytes: int) -> int:
        """Copy about `n_bytes` more, at least a slot; returns how many these were at most."""
        if self.is_whole:
            return 0
        part = slice(self._n_passed, min(self._n_passed + max(1, n_bytes // self._slot_bytes), len(self._is_left)))
        if self._is_left[part].all():
            for name, array in self._wide.items():
                array[part] = getattr(self._columns, name)[part]
        else:
            self.copy_slots(np.arange(part.start, part.stop))
        self._is_left[part] = False
        self._n_passed = part.stop
        if self.is_whole:
            self._columns.end_copy()
        return (part.stop - part.start) * self._slot_bytes

    def copy_all(self) -> None:
        self.copy_next(len(self._is_left) * self._slot_bytes)

    def copy_slots(self, slots: Int64) -> None:
        """Copy those of the slots, int64 [b], that are not copied yet."""
        slots = slots[slots < len(self._is_left)]
        slots = slots[self._is_left[slots]]
        for name, array in self._wide.items():
            array[slots] = getattr(self._columns, name)[slots]
        self._is_left[slots] = False
