"""A file of the journal cut or changed anywhere: the good records before that place are used, and it is known why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store.segment import framed, read_segment

BODIES = st.lists(st.binary(max_size=40) | st.just(b"FWJ1" * 8), min_size=1, max_size=6)


def written(bodies: list[bytes], synced_after: int) -> tuple[bytes, list[int]]:
    """The bytes of a file whose first `synced_after` records are synced, and where each record ends."""
    data, ends, synced_bytes = b"", [], 0
    for number, body in enumerate(bodies):
        data += framed(body, synced_bytes)
        if number + 1 == synced_after:
            synced_bytes = len(data)
            data += framed(b"", synced_bytes)
        ends.append(len(data))
    return data, ends


def bodies_of(data: bytes) -> list[bytes]:
    return [bytes(body) for _, body in read_segment(data).records()]


@given(BODIES)
def test_what_is_written_is_read(bodies):
    data, _ = written(bodies, len(bodies))
    assert read_segment(data).state == "whole"
    assert bodies_of(data) == [body for body in bodies if body]


@given(BODIES, st.data())
def test_a_file_cut_anywhere_has_its_whole_records(bodies, draw):
    """The tail of a power cut is torn, wherever it ends."""
    data, ends = written(bodies, 0)
    cut = draw.draw(st.integers(0, len(data)))
    segment = read_segment(data[:cut])
    n_whole = sum(end <= cut for end in ends)
    assert segment.state == ("whole" if cut in ends else "torn")
    assert segment.good_bytes == ([0, *ends][n_whole])
    assert bodies_of(data[:cut]) == [body for body in bodies[:n_whole] if body]


@given(BODIES, st.data())
def test_any_bit_that_flips_in_what_was_synced_is_known_from_a_torn_tail(bodies, draw):
    """The empty record behind a sync says how far the file was on the disk."""
    data, _ = written(bodies, len(bodies))
    synced_bytes = len(data) - len(framed(b"", 0))
    bit = draw.draw(st.integers(0, 8 * synced_bytes - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    segment = read_segment(bytes(flipped))
    assert segment.state == "broken"
    assert segment.good_bytes <= bit // 8
    assert bodies_of(bytes(flipped)) == [body for body in bodies if body][: len(bodies_of(bytes(flipped)))]


@given(BODIES, BODIES, st.data())
def test_what_was_not_synced_may_be_lost_in_any_order(synced, others, draw):
    """A power cut keeps a later write and loses an earlier one: that is a torn tail, and nothing of it was promised."""
    data, ends = written([*synced, *others], len(synced))
    start = ends[len(synced) - 1] - len(framed(b"", 0))
    lost = draw.draw(st.lists(st.integers(start, len(data) - 1), min_size=1, max_size=4, unique=True))
    torn = bytearray(data)
    for place in lost:
        torn[place] ^= 0xFF
    segment = read_segment(bytes(torn))
    assert segment.state == "torn"
    assert start <= segment.good_bytes <= min(lost)


@pytest.mark.parametrize("junk", [b"FWJ1" * 50_000, bytes(200_000)], ids=["like records", "zeros"])
def test_a_broken_file_is_read_within_a_bound(junk):
    """Whatever a payload looks like; when it is too long to find out the file counts as broken."""
    data = framed(b"good", 0) + b"x" + junk
    segment = read_segment(data)
    assert segment.good_bytes == len(framed(b"good", 0))
    assert segment.state in ("torn", "broken")
