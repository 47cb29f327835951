"""The bytes of one file of the journal: records one behind the other, and how much of them is to be trusted.

A record is the word `MAGIC`, the length of its body (u32), a CRC-32 of what follows (u32), how many bytes of the file
were known to be on the disk when it was written (u64), and the body; little-endian.

What a power cut leaves behind the synced part may be torn anywhere, whatever follows: that is cut off. A record that
is broken *within* the synced part has been lost otherwise: a bit has flipped, or somebody wrote to the file. Which of
the two it is the good records behind it tell, by what they knew to be synced. So one is written behind each sync, an
empty one, that lasts with the next.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Literal

MAGIC = b"FWJ1"
PIECE_BYTES = 2**20  # that are read at once
_HEAD = struct.Struct("<4sIIQ")
_CHECKED_FROM = 12  # the checksum is of all that is behind it
_EFFORT = 16  # at most so many times the bytes of a file are looked through for what is behind a broken record

Read = Callable[[int, int], bytes]


def framed(body: bytes, synced_bytes: int) -> bytes:
    """A record, to be written where `synced_bytes` of the file are known to be on the disk."""
    checked = synced_bytes.to_bytes(8, "little") + body
    return b"%b%b%b%b" % (MAGIC, len(body).to_bytes(4, "little"), zlib.crc32(checked).to_bytes(4, "little"), checked)


class Segment:
    """A file that is read once, from its first record on. A piece of it is held at a time, or a record that is larger.

    size_bytes  of the file
    good_bytes  of the records before the first one that is not good, as far as they were read
    state       once all were. whole: there is no such one; torn: it was not synced, and is to be cut off; broken: it
                was. An empty file is torn: a whole one has its first record
    """

    def __init__(self, read: Read, size_bytes: int) -> None:
        """read: place and number of bytes -> those that are there."""
        self.size_bytes = size_bytes
        self.good_bytes = 0
        self.state: Literal["whole", "torn", "broken"] = "torn"
        self._read = read
        self._piece, self._begin = memoryview(b""), 0

    def records(self) -> Iterator[tuple[int, memoryview]]:
        """Place and body of each good record that has one."""
        while (end := self._end(self.good_bytes)) is not None:
            place, start = self.good_bytes, self.good_bytes + _HEAD.size
            self.good_bytes = end
            if end > start:
                yield place, self._at(start, end - start)
        if self.good_bytes < self.size_bytes or not self.size_bytes:
            self.state = "broken" if self._knows_of_more(self.good_bytes) else "torn"
        else:
            self.state = "whole"

    def _at(self, place: int, n_bytes: int) -> memoryview:
        """Those bytes of the file, fewer at its end."""
        start = place - self._begin
        if start < 0 or start + n_bytes > len(self._piece):
            self._piece, self._begin = memoryview(self._read(place, max(n_bytes, PIECE_BYTES))), place
            start = 0
        return self._piece[start : start + n_bytes]

    def _end(self, place: int) -> int | None:
        """Where the record at `place` ends, None where there is no good one."""
        head = self._at(place, _HEAD.size)
        if len(head) < _HEAD.size:
            return None
        magic, n_bytes, checksum, _ = _HEAD.unpack(head)
        end: int = place + _HEAD.size + n_bytes
        if magic != MAGIC or end > self.size_bytes:
            return None
        of_parts, at = 0, place + _CHECKED_FROM
        while at < end and (part := self._at(at, min(end - at, PIECE_BYTES))):
            of_parts, at = zlib.crc32(part, of_parts), at + len(part)
        return end if at == end and of_parts == checksum else None

    def _knows_of_more(self, place: int) -> bool:
        """Whether a good record behind `place` knew bytes behind it to be synced; True where that is too long to find
        out. A payload may look like many records, so the effort has a bound.
        """
        effort_bytes = _EFFORT * self.size_bytes
        for at in self._magic_words(place + 1):
            head = self._at(at, _HEAD.size)
            if len(head) < _HEAD.size:
                return False
            _, n_bytes, _, synced_bytes = _HEAD.unpack(head)
            if place < synced_bytes <= at:
                effort_bytes -= min(n_bytes, self.size_bytes - at)
                if effort_bytes < 0 or self._end(at) is not None:
                    return True
        return False

    def _magic_words(self, start: int) -> Iterator[int]:
        """Where MAGIC stands, from there on."""
        while len(part := self._read(start, PIECE_BYTES)) >= len(MAGIC):
            at = part.find(MAGIC)
            while at >= 0:
                yield start + at
                at = part.find(MAGIC, at + 1)
            start += len(part) - len(MAGIC) + 1
