"""A file of the journal cut or changed anywhere: the good records before that place are used, and it is known why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store import segment as segments
from agent.store.segment import PIECE_BYTES, Segment, framed

BODIES = st.lists(st.binary(max_size=40) | st.just(b"FWJ1" * 8), min_size=1, max_size=6)
PIECES = st.sampled_from([5, 24, 100, PIECE_BYTES])


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


def read(data: bytes, piece_bytes: int = PIECE_BYTES) -> tuple[Segment, list[bytes]]:
    """A file that is read to its end, in pieces of that size, and the bodies in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "PIECE_BYTES", piece_bytes)
        segment = Segment(lambda start, n_bytes: data[start : start + n_bytes], len(data))
        return segment, [bytes(body) for _, body in segment.records()]


@pytest.mark.slow
@given(BODIES, PIECES)
def test_what_is_written_is_read(bodies, piece_bytes):
    data, _ = written(bodies, len(bodies))
    segment, read_again = read(data, piece_bytes)
    assert (segment.state, segment.good_bytes) == ("whole", len(data))
    assert read_again == [body for body in bodies if body]


@pytest.mark.slow
@given(BODIES, st.data())
def test_a_file_cut_anywhere_has_its_whole_records(bodies, draw):
    """The tail of a power cut is torn, wherever it ends."""
    data, ends = written(bodies, 0)
    cut = draw.draw(st.integers(0, len(data)))
    segment, read_again = read(data[:cut], draw.draw(PIECES))
    n_whole = sum(end <= cut for end in ends)
    assert segment.state == ("whole" if cut in ends else "torn")
    assert segment.good_bytes == ([0, *ends][n_whole])
    assert read_again == [body for body in bodies[:n_whole] if body]


@pytest.mark.slow
@given(BODIES, st.data())
def test_any_bit_that_flips_in_what_was_synced_is_known_from_a_torn_tail(bodies, draw):
    """The empty record behind a sync says how far the file was on the disk."""
    data, _ = written(bodies, len(bodies))
    synced_bytes = len(data) - len(framed(b"", 0))
    bit = draw.draw(st.integers(0, 8 * synced_bytes - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    segment, read_again = read(bytes(flipped), draw.draw(PIECES))
    assert segment.state == "broken"
    assert segment.good_bytes <= bit // 8
    assert read_again == [body for body in bodies if body][: len(read_again)]


@pytest.mark.slow
@given(BODIES, BODIES, st.data())
def test_what_was_not_synced_may_be_lost_in_any_order(synced, others, draw):
    """A power cut keeps a later write and loses an earlier one: that is a torn tail, and nothing of it was promised."""
    data, ends = written([*synced, *others], len(synced))
    start = ends[len(synced) - 1] - len(framed(b"", 0))
    lost = draw.draw(st.lists(st.integers(start, len(data) - 1), min_size=1, max_size=4, unique=True))
    torn = bytearray(data)
    for place in lost:
        torn[place] ^= 0xFF
    segment, _ = read(bytes(torn), draw.draw(PIECES))
    assert segment.state == "torn"
    assert start <= segment.good_bytes <= min(lost)


@pytest.mark.parametrize("junk", [b"FWJ1" * 50_000, bytes(200_000)], ids=["like records", "zeros"])
def test_a_broken_file_is_read_within_a_bound(junk):
    """Whatever a payload looks like; when it is too long to find out the file counts as broken."""
    data = framed(b"good", 0) + b"x" + junk
    segment, _ = read(data)
    assert segment.good_bytes == len(framed(b"good", 0))
    assert segment.state in ("torn", "broken")


@pytest.mark.parametrize("tail", [b"", b"FWJ1" + (2**20).to_bytes(4, "little") + bytes(2**20 + 100)])
def test_no_more_of_a_file_is_held_than_a_piece_or_a_record(tail):
    """Some records of 4,000 bytes, one that is larger than a piece; behind them nothing, or what says that it is."""
    data = framed(b"x" * 4000, 0) * 20 + framed(b"y" * 30_000, 0) + framed(b"x" * 4000, 0) * 20 + tail
    asked = []

    def piece(start: int, n_bytes: int) -> bytes:
        asked.append(n_bytes)
        return data[start : start + n_bytes]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "PIECE_BYTES", 10_000)
        assert sum(1 for _ in Segment(piece, len(data)).records()) == 41
    assert sorted({*asked}) == [10_000, 30_000]
    assert sum(asked) < 3 * len(data)
