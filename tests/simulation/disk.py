"""A disk that keeps what was synced, and of the rest whatever a power cut happens to leave; see agent/store/disk.py.

A process that dies loses nothing that it has written. A power cut leaves of each file what was synced and any part of
what was written since, by sectors, and of the folder's names any of the changes since it was synced. A failed sync
makes nothing last, and the next one does not try again, as Linux has it.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeVar

from tests.simulation.clock import Clock

Change = TypeVar("Change")
SECTOR = 512
_SLOW_S = (0.05, 0.5)


@dataclass(slots=True, eq=False)
class Inode:
    """A file's content: as it is read, as it lasts, and what was done to it since it was synced."""

    now: bytearray = field(default_factory=bytearray)
    lasting: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, bytes]] = field(default_factory=list)  # place and data; no data: cut off there

    def change(self, at: int, data: bytes) -> None:
        _apply(self.now, at, data)
        self.since.append((at, data))

    def sync(self) -> None:
        for at, data in self.since:
            _apply(self.lasting, at, data)
        self.since.clear()


def _apply(content: bytearray, at: int, data: bytes) -> None:
    if not data:
        del content[at:]
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data


class SimulatedDisk:
    """One folder, which outlives the processes that write to it.

    fails_until_s  monotonic time until which writes fail, by the error that they fail with
    slow_until_s   and until which everything takes long
    bad_syncs      so many syncs of files that come next fail
    bytes_written  since the beginning
    """

    def __init__(self, clock: Clock, step: Callable[[str], None], rng: Random, folder: Path) -> None:
        self.fails_until_s: dict[int, float] = {}
        self.slow_until_s = 0.0
        self.bad_syncs = 0
        self.bytes_written = 0
        self._folder = folder
        self._clock, self._announce, self._rng = clock, step, rng
        self._names: dict[str, Inode] = {}
        self._lasting: dict[str, Inode] = {}
        self._since: list[tuple[str, str, Inode]] = []  # kind, name and file

    @property
    def folder(self) -> Path:
        return self._folder

    # What the agent does ----------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        self.step("read")
        return sorted(self._names, key=lambda name: name[::-1])  # in no useful order

    def read(self, name: str, start: int = 0, n_bytes: int = -1) -> bytes:
        if start == 0:  # in pieces it is one step too
            self.step("read")
        content = self._inode(name).now
        return bytes(content[start:] if n_bytes < 0 else content[start : start + n_bytes])

    def size(self, name: str) -> int:
        return len(self._inode(name).now)

    def create(self, name: str) -> "SimulatedFile":
        self.step("create")
        self.check_writable(name)
        inode = Inode()
        self._change("create", name, inode)
        return SimulatedFile(self, inode, name)

    def append(self, name: str) -> "SimulatedFile":
        self.step("create")
        return SimulatedFile(self, self._inode(name), name)

    def rename(self, old: str, new: str) -> None:
        self.step("rename")
        self.check_writable(old, only=errno.EROFS)
        self._change(f"rename {old}", new, self._inode(old))

    def remove(self, name: str) -> None:
        self.step("remove")
        self.check_writable(name, only=errno.EROFS)
        self._change("remove", name, self._inode(name))

    def sync(self) -> None:
        self.step("sync_folder")
        self._lasting = dict(self._names)
        self._since.clear()

    # What happens to it -----------------------------------------------------------------------------------------

    def cut_power(self) -> None:
        """What was not synced may be gone, or partly there."""
        names = dict(self._lasting)
        for change in self._surviving(self._since):
            _rename(names, *change)
        self._names, self._lasting, self._since = names, dict(names), []
        for inode in dict.fromkeys(names.values()):
            for at, data in self._surviving(inode.since):
                self._put_torn(inode.lasting, at, data)
            inode.now, inode.since = bytearray(inode.lasting), []

    def flip(self, name: str, at: int, bit: int) -> None:
        """One bit of a file is another one."""
        inode = self._names[name]
        if inode.now:
            at %= len(inode.now)
            inode.now[at] ^= 1 << bit
            if at < len(inode.lasting):
                inode.lasting[at] ^= 1 << bit

    def listing(self) -> dict[str, int]:
        return {name: len(inode.now) for name, inode in sorted(self._names.items())}

    def step(self, name: str) -> None:
        self._announce(name)
        if self._clock.now_s < self.slow_until_s:
            self._clock.sleep(self._rng.uniform(*_SLOW_S))

    def check_writable(self, name: str, *, only: int = 0) -> None:
        for code, until_s in self.fails_until_s.items():
            if self._clock.now_s < until_s and only in (0, code):
                raise OSError(code, os.strerror(code), name)

    def put(self, inode: Inode, data: bytes) -> None:
        inode.change(len(inode.now), data)
        self.bytes_written += len(data)

    def part(self, n_bytes: int) -> int:
        """How much of a write is there when it is interrupted."""
        return self._rng.randint(0, n_bytes)

    def _inode(self, name: str) -> Inode:
        if name not in self._names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return self._names[name]

    def _change(self, kind: str, name: str, inode: Inode) -> None:
        self._since.append((kind, name, inode))
        _rename(self._names, kind, name, inode)

    def _surviving(self, changes: list[Change]) -> list[Change]:
        """The first ones, or any of them, in their order."""
        if self._rng.random() < 0.6:
            return changes[: self._rng.randint(0, len(changes))]
        return [change for change in changes if self._rng.random() < 0.6]

    def _put_torn(self, content: bytearray, at: int, data: bytes) -> None:
        """All of a write, or some of its sectors; the others are as they were, or zeros."""
        if not data or self._rng.random() < 0.4:
            _apply(content, at, data)
            return
        end, place = at + len(data), at
        while place < end:
            next_place = min(end, place - place % SECTOR + SECTOR)
            if self._rng.random() < 0.5:
                _apply(content, place, data[place - at : next_place - at])
            place = next_place


class SimulatedFile:
    """A file that is open to be written at its end."""

    def __init__(self, disk: SimulatedDisk, inode: Inode, name: str) -> None:
        self._disk, self._inode, self._name = disk, inode, name

    def write(self, data: bytes | memoryview) -> None:
        self._disk.step("write")
        data = bytes(data)
        part = self._disk.part(len(data))
        try:
            self._disk.check_writable(self._name)
        except OSError:
            self._disk.put(self._inode, data[:part])
            raise
        if part:
            self._disk.put(self._inode, data[:part])
        self._disk.step("write")
        if part < len(data):
            self._disk.put(self._inode, data[part:])

    def sync(self) -> None:
        self._disk.step("sync")
        if self._disk.bad_syncs:
            self._disk.bad_syncs -= 1
            self._inode.since.clear()
            raise OSError(errno.EIO, os.strerror(errno.EIO), self._name)
        self._inode.sync()

    def truncate(self, n_bytes: int) -> None:
        self._disk.step("truncate")
        self._inode.change(n_bytes, b"")

    def close(self) -> None:
        """It is written no more."""


def _rename(names: dict[str, Inode], kind: str, name: str, inode: Inode) -> None:
    if kind == "remove":
        if names.get(name) is inode:
            del names[name]
        return
    if kind.startswith("rename "):
        old = kind.removeprefix("rename ")
        if names.get(old) is not inode:  # it was never made, as far as the disk knows
            return
        del names[old]
    names[name] = inode
