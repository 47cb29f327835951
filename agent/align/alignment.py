"""Readings -> rows, by each source's rule: which of them wait, and which values are held."""

from collections.abc import Sequence

from agent.devices.rows import Rows
from agent.devices.slots import Slots
from agent.drops import Drops
from agent.words import Int64, Source


class Alignment:
    """The rules of all sources, and what is held or waits of each device."""

    def __init__(self, sources: Sequence[Source], slots: Slots) -> None:
        pass

    def align(self, rows: Rows, _drops: list[Drops]) -> Rows:
        """Rows of distinct devices with good clocks -> none, one or several rows a device, rising in time."""
        return rows

    def forget(self, slots: Int64) -> None:
        """Nothing is held of these devices any more, and nothing of them waits."""

    def keep(self) -> bytes:
        """What waits, for the snapshot; b"" for nothing."""
        return b""

    def restore(self, kept: bytes) -> None:
        """Take over what `keep` gave. Raises ValueError for anything else."""
        if kept:
            raise ValueError("readings wait in it, and nothing waits in this version")
