"""A CSV file of a replay, plain or compressed (.csv.xz, .csv.gz), line by line within bounds.

Whatever is wrong with a file is refused with file, line and column: a score over half-read data would be worse than
none.
"""

import csv
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TextIO

from agent.errors import DataRefused

LINES_MAX = 5_000_000
LINE_CHARS_MAX = 100_000
T_MAX = 2**62 / 1e9  # event time is int64 nanoseconds


def refuse(path: Path, line: int, what: str, next_step: str) -> NoReturn:
    """Raise DataRefused for a line of a file."""
    raise DataRefused(path, f"line {line} {what}", next_step=next_step) from None


@contextmanager
def open_csv(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """The file's lines as (number, cells); whatever goes wrong with it becomes DataRefused."""
    number = 0
    try:
        with _text(path) as file:
            reader = csv.reader(_bounded_lines(path, file), strict=True)

            def numbered() -> Iterator[tuple[int, list[str]]]:
                nonlocal number
                for cells in reader:
                    number = reader.line_num
                    if cells:
                        yield number, cells

            yield numbered()
    except (csv.Error, UnicodeDecodeError, EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        refuse(path, number + 1, f"cannot be read: {error}", "Is it a UTF-8 CSV file, and whole?")
    except OSError as error:
        raise DataRefused(path, error.strerror or str(error), next_step="Give the path of a CSV file.") from None


def _text(path: Path) -> TextIO:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8-sig", newline="")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _bounded_lines(path: Path, file: TextIO) -> Iterator[str]:
    for number in range(1, LINES_MAX + 2):
        text = file.readline(LINE_CHARS_MAX + 1)
        if not text:
            return
        if len(text) > LINE_CHARS_MAX:
            refuse(path, number, f"is longer than {LINE_CHARS_MAX} characters", "Is it a CSV file?")
        yield text
    refuse(path, LINES_MAX + 1, "is one too many", "Replay fewer devices at a time.")
