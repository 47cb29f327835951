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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MAGIC = b"FWJ1"
_HEAD = struct.Struct("<4sIIQ")
_CHECKED_FROM = 12  # the checksum is of all that is behind it
_EFFORT = 16  # at most so many times the bytes of a file are looked through for what is behind a broken record


def framed(body: bytes, synced_bytes: int) -> bytes:
    """A record, to be written where `synced_bytes` of the file are known to be on the disk."""
    checked = synced_bytes.to_bytes(8, "little") + body
    return b"%b%b%b%b" % (MAGIC, len(body).to_bytes(4, "little"), zlib.crc32(checked).to_bytes(4, "little"), checked)


@dataclass(frozen=True, slots=True)
class Segment:
    """A file that was read.

    good_bytes  of the records before the first one that is not good
    state       whole: there is no such one; torn: it was not synced, and is to be cut off; broken: it was.
                An empty file is torn: a whole one has its first record
    """

    data: bytes
    good_bytes: int
    state: Literal["whole", "torn", "broken"]

    def records(self) -> Iterator[tuple[int, memoryview]]:
        """Place and body of each good record that has one."""
        place, view = 0, memoryview(self.data)
        while place < self.good_bytes:
            end = _end(view, place)
            assert end is not None, "it was good"
            if end - place > _HEAD.size:
                yield place, view[place + _HEAD.size : end]
            place = end


def read_segment(data: bytes) -> Segment:
    """What is good of a file's bytes."""
    view, place = memoryview(data), 0
    while place < len(data) and (end := _end(view, place)) is not None:
        place = end
    if data and place == len(data):
        return Segment(data, place, "whole")
    return Segment(data, place, "broken" if _knows_of_more(view, place) else "torn")


def _end(view: memoryview, place: int) -> int | None:
    """Where the record at `place` ends, None where there is no good one."""
    if len(view) - place < _HEAD.size:
        return None
    magic, n_bytes, checksum, _ = _HEAD.unpack_from(view, place)
    end: int = place + _HEAD.size + n_bytes
    is_good = magic == MAGIC and end <= len(view) and zlib.crc32(view[place + _CHECKED_FROM : end]) == checksum
    return end if is_good else None


def _knows_of_more(view: memoryview, place: int) -> bool:
    """Whether a good record behind `place` knew bytes behind it to be synced; True where that is too long to find out.

    A payload may look like many records, so the effort has a bound.
    """
    data, effort_bytes = view.obj, _EFFORT * len(view)
    assert isinstance(data, bytes)
    at = data.find(MAGIC, place + 1)
    while at >= 0:
        if len(view) - at >= _HEAD.size:
            _, n_bytes, _, synced_bytes = _HEAD.unpack_from(view, at)
            if synced_bytes > place and synced_bytes <= at:
                effort_bytes -= min(n_bytes, len(view) - at)
                if effort_bytes < 0 or _end(view, at) is not None:
                    return True
        at = data.find(MAGIC, at + 1)
    return False
