"""Compressed payloads: what they hold within the bound, and one reason for everything else."""

import gzip
import struct
import sys
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agent.decode import expand as expand_module
from agent.decode.expand import PARTS_MAX, Expander, compression_problem
from agent.decode.unread import Unread

BOUND = 1000


def zstd(payload: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(payload)


def zstd_without_size(payload: bytes, window_log: int = 10) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return stream.compress(payload) + stream.flush()


COMPRESS = {"gzip": gzip.compress, "zstd": zstd}
SKIPPED = struct.pack("<II", 0x184D2A50, 3) + b"abc"  # a skippable frame, RFC 8878 section 3.1.2


def reason(compression: str, payload: bytes) -> str:
    with pytest.raises(Unread) as error:
        Expander(compression, BOUND).expand(payload)
    assert str(error.value)
    return error.value.reason


@given(st.sampled_from(["gzip", "zstd"]), st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_what_was_compressed_comes_back_of_one_member_or_several(compression, parts):
    whole = b"".join(parts)
    for payload in (COMPRESS[compression](whole), b"".join(map(COMPRESS[compression], parts))):
        for setting in (compression, "auto"):
            assert Expander(setting, BOUND).expand(payload) == whole


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_bound_itself_is_read_and_a_byte_more_is_too_large(compression):
    compress = COMPRESS[compression]
    assert Expander(compression, BOUND).expand(compress(bytes(BOUND))) == bytes(BOUND)
    assert reason(compression, compress(bytes(BOUND + 1))) == "too_large"
    assert reason(compression, compress(bytes(BOUND)) + compress(b"x")) == "too_large"
    with_more = compress(bytes(BOUND)) + compress(b"")
    assert Expander(compression, BOUND).expand(with_more) == bytes(BOUND)


@pytest.mark.slow
def test_a_bomb_ends_at_the_bound(monkeypatch):
    """Counted in what zlib and zstd give out, so that the test says nothing of the machine's speed."""
    out = 0

    class Counted:
        """A decompressor, or what makes them, whose bytes are counted."""

        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def decompressobj(self):
            return Counted(self._inner.decompressobj())

        def decompress(self, *arguments):
            nonlocal out
            held = self._inner.decompress(*arguments)
            out += len(held)
            return held

    of_zlib, of_zstd = zlib.decompressobj, zstandard.ZstdDecompressor
    monkeypatch.setattr(expand_module.zlib, "decompressobj", lambda wbits: Counted(of_zlib(wbits)))
    monkeypatch.setattr(zstandard, "ZstdDecompressor", lambda **bounds: Counted(of_zstd(**bounds)))
    bomb = bytes(200 * 2**20)
    for compression, payload, most in (
        ("gzip", gzip.compress(bomb), BOUND + 1),
        ("zstd", zstd(bomb), 4 * 2**20),
        ("zstd", zstd_without_size(bomb), 4 * 2**20),
    ):
        out = 0
        assert reason(compression, payload) == "too_large"
        assert 0 < out <= most


def test_a_size_that_a_header_only_claims_is_not_believed():
    frame = bytearray(zstd(bytes(300)))
    assert frame[4] == 0x60, "a single segment with two bytes of size"
    frame[4] = 0xA0  # four bytes of size instead
    claims = bytes(frame[:5]) + struct.pack("<I", 2**31) + bytes(frame[7:])
    assert reason("zstd", claims) == "malformed"


def test_a_window_beyond_what_the_standard_asks_for_is_refused_before_it_is_made():
    assert Expander("zstd", BOUND).expand(zstd_without_size(b"x", window_log=23)) == b"x"
    assert reason("zstd", zstd_without_size(b"x", window_log=25)) == "malformed"


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_is_cut_off_followed_by_other_bytes_or_not_compressed_is_malformed(compression):
    payload = COMPRESS[compression](b'{"temp": 55.1, "vib": 1.2}')
    cut_off = [payload[:size] for size in range(1, len(payload))]
    for other in (*cut_off, payload + b"junk", payload + payload[:-1], payload + b"\0", b'{"temp": 55.1}'):
        assert reason(compression, other) == "malformed"
    assert reason(compression, COMPRESS[compression](b"") * (PARTS_MAX + 1)) == "malformed"


def test_a_damaged_gzip_is_malformed():
    payload = bytearray(gzip.compress(bytes(range(100))))
    payload[-8] ^= 1  # the checksum
    assert reason("gzip", bytes(payload)) == "malformed"


def test_frames_that_are_to_be_skipped_are():
    for payload in (SKIPPED + zstd(b"x"), zstd(b"x") + SKIPPED):
        assert Expander("zstd", BOUND).expand(payload) == b"x"


@given(
    st.sampled_from(["gzip", "zstd", "auto"]),
    st.binary(max_size=60),
    st.sampled_from([b"", b"\x1f\x8b\x08", b"(\xb5/\xfd"]),
)
def test_no_payload_raises_anything_else(compression, payload, start):
    try:
        is_fine = len(Expander(compression, BOUND).expand(start + payload)) <= BOUND
    except Unread as error:
        is_fine = error.reason in ("malformed", "too_large")
    assert is_fine


def test_an_empty_payload_stays_empty_and_auto_lets_what_is_not_compressed_pass():
    for compression in ("none", "gzip", "zstd", "auto"):
        assert Expander(compression, BOUND).expand(b"") == b""
    assert Expander("auto", BOUND).expand(b'{"temp": 1}') == b'{"temp": 1}'
    assert Expander("none", BOUND).expand(gzip.compress(b"x")) == gzip.compress(b"x")


def test_a_gateway_without_the_package_reads_all_but_zstd(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setattr(expand_module, "find_spec", lambda name: None)
    assert 'install "forewarn[zstd]"' in compression_problem("zstd")
    assert [compression_problem(other) for other in ("none", "gzip", "auto")] == [""] * 3
    assert Expander("auto", BOUND).expand(gzip.compress(b"x")) == b"x"
    assert reason("auto", zstd(b"x")) == "malformed"


def test_a_gateway_with_the_package_has_no_problem():
    assert compression_problem("zstd") == ""
