"""Compressed payloads to what they hold, never more than a bound: gzip (RFC 1952) and Zstandard (RFC 8878).

A few kilobytes can stand for gigabytes, so a payload is expanded piece by piece and no further than the bound.
Several members or frames one after the other are one payload, as both RFCs say; anything else after the end is a fault.
"""

import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from agent.decode.unread import Unread
from agent.words import Compression

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PARTS_MAX = 32  # members or frames of one payload; each costs a new decompressor
WINDOW_BYTES_MAX = 8 * 2**20  # of a zstd frame: what RFC 8878 asks every decoder for, and advises against more
_PIECE_BYTES = 64  # of compressed zstd at a time: at most 16 blocks of 128 KiB, so 2 MiB come out at once
_GZIP_WBITS = 31  # what zlib calls "a gzip header and trailer"


class Expander:
    """Expands the payloads of one source."""

    def __init__(self, compression: Compression, bytes_max: int) -> None:
        """Raises ModuleNotFoundError where `compression_problem` has named a missing package."""
        self._compression = compression
        self._bytes_max = bytes_max
        self._has_zstd = find_spec("zstandard") is not None
        self._zstd_part: Callable[[bytes, int], tuple[bytes, bytes]] | None = None
        if compression == "zstd" or (compression == "auto" and self._has_zstd):
            self._zstd_part = _zstd_part()

    def expand(self, payload: bytes) -> bytes:
        """What `payload` holds, at most `bytes_max` bytes; an empty one, and with `none` any, is given back as it is.

        Raises Unread: `too_large` for more, `malformed` for one that is cut off, followed by other bytes or not
        of the source's compression. `auto` goes by the first bytes and gives back what is not compressed.
        """
        kind = self._compression
        if kind == "auto":
            kind = "gzip" if payload.startswith(GZIP_MAGIC) else "zstd" if payload.startswith(ZSTD_MAGIC) else "none"
        if kind == "none" or not payload:
            return payload
        part = _gzip_part if kind == "gzip" else self._zstd_part
        if part is None:
            raise Unread("malformed", "it is zstd, and the package zstandard is not installed")
        return self._joined(payload, part)

    def _joined(self, payload: bytes, part: Callable[[bytes, int], tuple[bytes, bytes]]) -> bytes:
        """What all members or frames of a payload hold; `part` gives that of the first, and the bytes after it."""
        whole = b""
        for _ in range(PARTS_MAX):
            held, payload = part(payload, self._bytes_max - len(whole))
            whole += held
            if not payload:
                return whole
        raise Unread("malformed", f"it has more than {PARTS_MAX} members or frames")


def compression_problem(compression: Compression) -> str:
    """Why this machine cannot expand it, "" when it can."""
    if compression == "zstd" and find_spec("zstandard") is None:
        return 'zstd needs the package zstandard: install "forewarn[zstd]"'
    return ""


def _gzip_part(payload: bytes, bytes_max: int) -> tuple[bytes, bytes]:
    decompressor = zlib.decompressobj(_GZIP_WBITS)
    try:
        held = decompressor.decompress(payload, bytes_max + 1)  # one more than may be, so that more is seen
    except zlib.error:
        raise Unread("malformed", "gzip: it is damaged, or not gzip") from None
    if len(held) > bytes_max:
        raise _too_large(bytes_max)
    if not decompressor.eof:
        raise Unread("malformed", "gzip: it is cut off")
    return held, decompressor.unused_data


def _zstd_part() -> Callable[[bytes, int], tuple[bytes, bytes]]:
    from zstandard import ZstdDecompressor, ZstdError

    frames = ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)

    def part(payload: bytes, bytes_max: int) -> tuple[bytes, bytes]:
        decompressor = frames.decompressobj()
        held = bytearray()
        for start, piece in _pieces(payload):
            try:
                held += decompressor.decompress(piece)
            except ZstdError:
                what = f"zstd: it is damaged, not zstd, or has a window above {WINDOW_BYTES_MAX} bytes"
                raise Unread("malformed", what) from None
            if len(held) > bytes_max:
                raise _too_large(bytes_max)
            if decompressor.eof:
                return bytes(held), payload[start + len(piece) - len(decompressor.unused_data) :]
        raise Unread("malformed", "zstd: it is cut off")

    return part


def _pieces(payload: bytes) -> Iterator[tuple[int, bytes]]:
    return ((start, payload[start : start + _PIECE_BYTES]) for start in range(0, len(payload), _PIECE_BYTES))


def _too_large(bytes_max: int) -> Unread:
    return Unread("too_large", f"it expands to more than {bytes_max} bytes")
