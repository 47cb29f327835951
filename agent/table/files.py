"""The files that a path, a folder or a pattern names."""

import glob
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from agent.errors import DataRefused
from agent.table.archive import archive_in, members
from agent.table.csv_file import CsvFile
from agent.table.form import PLAIN_CSV, CsvForm, TableFile
from agent.table.recording import INTERVENTIONS, contained

BYTES_MAX = 2**30
ENDINGS = (".csv", ".csv.gz", ".csv.xz", ".parquet")
TEXTS = (".txt", ".txt.gz", ".txt.xz", ".dat", ".tsv")
"""Endings that are read too where it is said how such a file is written."""


def table_files(places: Sequence[str], folder: Path, *, next_step: str, form: CsvForm = PLAIN_CSV) -> list[TableFile]:
    """The files of each place in turn, relative to `folder`: all tables in a folder, all that match a pattern, by name.

    A place may lead into an archive: `skab.tar.xz/data/valve1/*.csv`.

    Of a recording's files those that another one contains are left out, and of a folder its interventions.

    Raises DataRefused for a place without a file, and for a file that is no table.

    next_step  what to do where nothing is found
    """
    files: list[TableFile] = []
    for place in places:
        if archive := archive_in(folder / place):
            files += [CsvFile(path, form, stored) for path, stored in members(archive, folder / place, next_step)]
        else:
            files += [table_file(path, next_step, form) for path in _paths(place, folder, next_step)]
    return files


def table_file(path: Path, next_step: str, form: CsvForm = PLAIN_CSV) -> TableFile:
    """Raises DataRefused for one that is not there, is too large, or has another ending."""
    if not path.name.endswith(ENDINGS if form == PLAIN_CSV else (*ENDINGS, *TEXTS)):
        raise DataRefused(path, f"is none of {', '.join(ENDINGS)}", next_step="Save it as one of them.")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataRefused(path, error.strerror or str(error), next_step=next_step) from None
    if size > BYTES_MAX:
        what = f"has {size:,} bytes, at most {BYTES_MAX:,} are read"
        raise DataRefused(path, what, next_step="Average it to fewer rows, or leave devices out.")
    if path.suffix != ".parquet":
        return CsvFile(path, form)
    if find_spec("polars") is None:
        what = "is a Parquet file, which polars reads, and that is not installed"
        raise DataRefused(path, what, next_step="pip install 'forewarn[tables]', or save it as CSV.")
    from agent.table.parquet_file import ParquetFile  # needs the extra `tables`

    return ParquetFile(path)


def _paths(place: str, folder: Path, next_step: str) -> list[Path]:
    path = folder / place
    if set(place) & set("*?["):
        paths = sorted(map(Path, glob.glob(str(path), recursive=True)))
        if not paths:
            raise DataRefused(path, "finds no file", next_step=next_step)
    elif path.is_dir():
        paths = sorted(one for one in path.rglob("*") if one.name.endswith(ENDINGS) and one.name != INTERVENTIONS)
        if not paths:
            raise DataRefused(path, f"holds no table ({', '.join(ENDINGS)})", next_step=next_step)
    else:
        paths = [path]
    twice = contained(paths)
    return [one for one in paths if one not in twice]
