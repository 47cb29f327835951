"""Public data sets by name, from where they are published into the folder that the recipes read: `forewarn-train data`.

The project ships none of them. Each file is read whole, its content is compared with the SHA-256 that the recipes were
made with, and only then it is written, in one step. The content counts: a source may pack the file otherwise.
"""

import gzip
import hashlib
import io
import lzma
import pickle
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from agent import whole_file
from agent.errors import DataRefused
from trainer.data import public_sums

BYTES_MAX = 2**28
"""Of a file, packed or not."""
TIMEOUT_S = 60.0
PRESET = 1
"""Of xz: the default takes minutes for a tenth less."""
GITHUB = "https://raw.githubusercontent.com"
Fetch = Callable[[str], bytes]
"""Reads an address, or a name beside the others."""


@dataclass(frozen=True, slots=True)
class PublicSet:
    """One of them.

    title    what it is, and who published it
    terms    under which it may be used, as far as they are stated
    sums     SHA-256 of the content of each file, by its path in the folder; of an archive's members by their names
    content  a file's content from its sources, by its path
    archive  path of the one archive that holds the files, "" where they lie in the folder
    """

    title: str
    terms: str
    sums: Mapping[str, str]
    content: Callable[[str, Fetch], bytes]
    archive: str = ""


def content_of_cmapss(path: str, fetch: Fetch) -> bytes:
    name = path.removeprefix("cmapss/").removesuffix(".xz")
    return fetch(f"{GITHUB}/oluies/tedsds/4c21824bc6b90efb30678a31ce2eab3f77964eda/data/{name}.gz")


def content_of_skab(path: str, fetch: Fetch) -> bytes:
    return fetch(f"{GITHUB}/waico/SKAB/master/{path}")


def content_of_azure_pdm(path: str, fetch: Fetch) -> bytes:
    name = path.removeprefix("azure_pdm/").removesuffix(".xz")
    if name.startswith("PdM_telemetry"):
        place = "yambogobrice-design/Maintenance-predictive-equipements-lourds-miniers"
        return fetch(f"{GITHUB}/{place}/1d0e096bf1ff4744bb1edde2a46515d2d8113f09/data/raw/PdM_telemetry.csv")
    place = "kokikwbt/predictive-maintenance/88253b797da550ae18e09af47d8acaa20582fcf1/datasets/mapm"
    return fetch(f"{GITHUB}/{place}/{name}.gz")


def content_of_asd(path: str, fetch: Fetch) -> bytes:
    """The CSV of arrays that are published as pickles: the channels m1 to m19, and the labels where there are some."""
    place = f"{GITHUB}/zhhlee/InterFusion/4d6e3fc6d6354a0e9a2d7e8f6e1ffd0812424352/data/processed"
    name = path.removeprefix("asd/").removesuffix(".csv.xz")
    values = array_of(fetch(f"{place}/{name}.pkl"))
    header = [f"m{channel + 1}" for channel in range(values.shape[1])]
    lines = [[f"{value:g}" for value in row] for row in values.tolist()]
    if name.endswith("_test"):
        labels = array_of(fetch(f"{place}/{name}_label.pkl")).tolist()
        header.append("anomaly")
        lines = [[*line, f"{label:g}"] for line, label in zip(lines, labels, strict=True)]
    return "".join(",".join(line) + "\n" for line in (header, *lines)).encode()


class _Arrays(pickle.Unpickler):
    """Reads pickled arrays of numpy and nothing else: a pickle may name any function of Python."""

    def find_class(self, module: str, name: str) -> object:
        if (module.replace("numpy.core", "numpy._core"), name) in {
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }:
            return getattr(np._core.multiarray if name == "_reconstruct" else np, name)  # type: ignore[attr-defined]
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def array_of(pickled: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """An array out of a pickle. Raises DataRefused for anything else."""
    try:
        value = _Arrays(io.BytesIO(pickled)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise DataRefused("asd", f"holds no pickled array: {error}", next_step=ASK_ANOTHER) from error
    if not isinstance(value, np.ndarray):
        raise DataRefused("asd", "holds no pickled array", next_step=ASK_ANOTHER)
    return value


ASK_ANOTHER = "Give a copy of the folder, or its address, as --from."

PUBLIC_SETS: dict[str, PublicSet] = {
    "cmapss": PublicSet(
        title="turbofan engines run to failure, simulated (Saxena et al., PHM08; NASA Ames)",
        terms="NASA states none and asks for the citation of Saxena et al., 2008",
        sums=public_sums.CMAPSS,
        content=content_of_cmapss,
    ),
    "skab": PublicSet(
        title="faults of a water rig, 35 recordings (Katser and Kozitsin, 2020; SKAB 0.9)",
        terms="GPL-3.0 of its repository",
        sums=public_sums.SKAB,
        content=content_of_skab,
        archive="skab/skab.tar.xz",
    ),
    "asd": PublicSet(
        title="12 application servers with 76 labelled intervals (Li et al., KDD 2021; InterFusion)",
        terms="MIT of its repository",
        sums=public_sums.ASD,
        content=content_of_asd,
    ),
    "azure_pdm": PublicSet(
        title="machines with errors, maintenance and failures, simulated (Microsoft; telemetry of 20 over 90 days)",
        terms="none found; the original calls it sample data",
        sums=public_sums.AZURE_PDM,
        content=content_of_azure_pdm,
    ),
}


def fetch_set(name: str, folder: Path, base: str = "") -> list[Path]:
    """Bring a set into `folder`; returns the files that were written: none where all are there.

    base  an address or a folder that holds a copy of such a folder, instead of the places of publication
    Raises DataRefused for an unknown set, what cannot be read or written, and content of another sum.
    """
    if name not in PUBLIC_SETS:
        raise DataRefused(name, "is no public set", next_step=f"There are: {', '.join(PUBLIC_SETS)}.")
    of = PUBLIC_SETS[name]
    if of.archive:
        written = fetch_archive(of, folder, base)
    else:
        written = [folder / path for path in of.sums if is_missing(folder / path, of.sums[path])]
        for path in tqdm(written, name, disable=not sys.stderr.isatty()):
            key = path.relative_to(folder).as_posix()
            stored = read_address(f"{base}/{key}") if base else packed(of.content(key, read_unpacked), key)
            check_sum(unpacked(stored, key), of.sums[key], f"{base or name}/{key}")
            write(path, stored)
    return written


def fetch_archive(of: PublicSet, folder: Path, base: str) -> list[Path]:
    path = folder / of.archive
    if path.exists() and not wrong_members(of, dict(members(path.read_bytes(), of))):
        return []
    if base:
        contents = dict(members(read_address(f"{base}/{of.archive}"), of))
    else:
        names = tqdm(of.sums, of.archive, disable=not sys.stderr.isatty())
        contents = {name: of.content(name, read_unpacked) for name in names}
    for name in wrong_members(of, contents):
        check_sum(contents.get(name, b""), of.sums[name], f"{of.archive}/{name}")
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w") as archive:
        for name in of.sums:
            about = tarfile.TarInfo(name)
            about.size = len(contents[name])
            archive.addfile(about, io.BytesIO(contents[name]))
    write(path, packed(stored.getvalue(), of.archive))
    return [path]


def members(packed: bytes, of: PublicSet) -> Iterator[tuple[str, bytes]]:
    """The files of an archive that belong to the set, by name. Raises DataRefused for what is no archive."""
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for about in archive:
                if about.name in of.sums and about.isfile() and about.size <= BYTES_MAX:
                    file = archive.extractfile(about)
                    yield about.name, file.read() if file else b""
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise DataRefused(of.archive, f"is no archive: {error}", next_step=ASK_ANOTHER) from error


def wrong_members(of: PublicSet, contents: Mapping[str, bytes]) -> Sequence[str]:
    return [name for name, wanted in of.sums.items() if sha256(contents.get(name, b"")) != wanted]


def is_missing(path: Path, wanted: str) -> bool:
    """Is the file not there, or another one?"""
    return not path.exists() or sha256(unpacked(path.read_bytes(), path.name)) != wanted


def read_unpacked(address: str) -> bytes:
    return unpacked(read_address(address), address)


def read_address(address: str) -> bytes:
    """What an http, https or file address holds, or a file. Raises DataRefused."""
    url = address if "://" in address else Path(address).resolve().as_uri()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            content: bytes = answer.read(BYTES_MAX + 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise DataRefused(address, f"cannot be read: {reason}", next_step=ASK_ANOTHER) from error
    if len(content) > BYTES_MAX:
        raise DataRefused(address, f"is larger than {BYTES_MAX:,} bytes", next_step=ASK_ANOTHER)
    return content


def packed(content: bytes, name: str) -> bytes:
    """The content as a file of that name holds it."""
    return lzma.compress(content, preset=PRESET) if name.endswith(".xz") else content


def unpacked(content: bytes, name: str) -> bytes:
    """The content of a .gz or .xz file, at most `BYTES_MAX` of it and one byte. Raises DataRefused for a torn one."""
    if not name.endswith((".gz", ".xz")):
        return content
    opened = gzip.open if name.endswith(".gz") else lzma.open
    try:
        with opened(io.BytesIO(content)) as file:
            return bytes(file.read(BYTES_MAX + 1))
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataRefused(name, f"cannot be unpacked: {error}", next_step=ASK_ANOTHER) from error


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def check_sum(content: bytes, recorded: str, name: str) -> None:
    """Raises DataRefused for another content than the recorded one."""
    if sha256(content) != recorded:
        what = f"has the SHA-256 {sha256(content)[:16]}..., not {recorded[:16]}...: it is another file, or was changed"
        raise DataRefused(name, what, next_step=f"Nothing of it was written. {ASK_ANOTHER}")


def write(path: Path, content: bytes) -> None:
    """In one step. Raises DataRefused."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(path, content)
    except OSError as error:
        raise DataRefused(path, error.strerror or str(error), next_step="Give a folder to write to as --to.") from error
