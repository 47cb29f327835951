"""CSV files within an archive (.tar, .tar.gz, .tar.xz), held in memory and bounded: nothing is unpacked to the disk."""

import lzma
import tarfile
import zlib
from fnmatch import fnmatchcase
from pathlib import Path

from agent.errors import DataRefused

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz")
MEMBER_ENDINGS = (".csv", ".csv.gz", ".csv.xz")
BYTES_MAX = 2**28
"""Of all members that are read together."""


def archive_in(path: Path) -> Path | None:
    """The archive that a path leads into or names, None where it does not."""
    return next((one for one in (path, *path.parents) if one.name.endswith(ENDINGS)), None)


def members(archive: Path, place: Path, next_step: str) -> list[tuple[Path, bytes]]:
    """Paths, through the archive, and contents of the members that `place` names, by name; * may stand for folders.

    Raises DataRefused: no such archive or member, a torn one, or more than BYTES_MAX.
    """
    pattern = place.relative_to(archive).as_posix()
    files: dict[str, bytes] = {}
    size = 0
    try:
        with tarfile.open(archive, "r:*") as opened:
            for member in opened:
                name = member.name.removeprefix("./")
                if not member.isfile() or not name.endswith(MEMBER_ENDINGS) or not _meets(name, pattern):
                    continue
                size += member.size
                if size > BYTES_MAX:
                    what = f"its members {pattern} have more than {BYTES_MAX:,} bytes"
                    raise DataRefused(archive, what, next_step="Unpack it, and name the files.")
                file = opened.extractfile(member)
                files[name] = file.read() if file else b""
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as error:
        raise DataRefused(archive, f"cannot be read: {error}", next_step="Is the file whole?") from error
    except OSError as error:
        raise DataRefused(archive, error.strerror or str(error), next_step=next_step) from None
    if not files:
        raise DataRefused(archive, f"holds no member {pattern} ({', '.join(MEMBER_ENDINGS)})", next_step=next_step)
    return [(archive / name, files[name]) for name in sorted(files)]


def _meets(name: str, pattern: str) -> bool:
    return pattern == "." or fnmatchcase(name, pattern) or name.startswith(f"{pattern}/")
