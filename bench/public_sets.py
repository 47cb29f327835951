"""The four public recordings as arrays, by the protocols of bench/unlabelled.py; FOREWARN_DATA names their folder."""

import csv
import io
import lzma
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from agent.words import Bool, Int64
from trainer.data.history import Float64

SKAB_FREE = "anomaly-free"
SKAB_TOGETHER = (("other/12", "other/13"), ("other/2", "other/3", "other/4"), ("other/10", "other/11"))
"""Files of which rows overlap: one part of a split has all of a group."""
CMAPSS_SENSORS = (1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 16, 19, 20)
"""Of sensors 1-21, from 0: those of configs/train/cmapss-fd001.toml."""
AZURE_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Recording:
    """t_s float64 [T]; x float64 [T, F]; faulty bool [T]; regime int64 [T], 0 where there is one."""

    name: str
    t_s: Float64
    x: Float64
    faulty: Bool
    regime: Int64


def recording(
    name: str, t_s: Float64, x: Float64, faulty: Bool | None = None, regime: Int64 | None = None
) -> Recording:
    """A recording; nothing is faulty and all is one regime where that is not said."""
    normal, one = np.zeros(len(x), np.bool_), np.zeros(len(x), np.int64)
    return Recording(name, t_s, x, normal if faulty is None else faulty, one if regime is None else regime)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def skab(data: Path) -> dict[str, Recording]:
    """By file; the run without anomalies lacks the rows that other/5 has too."""
    files = {}
    with tarfile.open(data / "skab" / "skab.tar.xz", "r:xz") as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            if not member.name.endswith(".csv") or content is None:
                continue
            head, *rows = csv.reader(io.TextIOWrapper(content), delimiter=";")
            name = "/".join(member.name.removesuffix(".csv").split("/")[-2:])
            name = SKAB_FREE if SKAB_FREE in name else name
            faulty = np.array([float(row[9]) > 0 for row in rows]) if "anomaly" in head else None
            t_s, x = np.array([seconds(row[0]) for row in rows]), np.array([row[1:9] for row in rows], np.float64)
            files[name] = recording(name, t_s, x, faulty)
    free = files[SKAB_FREE]
    own = ~np.isin(free.t_s, files["other/5"].t_s)
    files[SKAB_FREE] = recording(SKAB_FREE, free.t_s[own], free.x[own])
    return files


def skab_halves(files: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Two halves of the labelled files; those that overlap are in one."""
    together = {name for group in SKAB_TOGETHER for name in group}
    groups = [*SKAB_TOGETHER, *((name,) for name in files if name not in together)]
    halves: tuple[list[str], list[str]] = ([], [])
    for index in np.random.default_rng(seed).permutation(len(groups)):
        min(halves, key=len).extend(groups[index])
    return halves


def asd(data: Path) -> dict[int, tuple[Recording, Recording]]:
    """By server: its 30 days without labels, and the 15 labelled days after them; a row is 300 s."""
    servers = {}
    for server in range(1, 13):
        parts = []
        for part in ("train", "test"):
            with lzma.open(data / "asd" / f"omi-{server}_{part}.csv.xz", "rt") as file:
                table = np.genfromtxt(file, delimiter=",", skip_header=1)
            faulty = table[:, -1] > 0 if part == "test" else None
            parts.append(recording(str(server), 300.0 * np.arange(len(table)), table[:, :19], faulty))
        servers[server] = (parts[0], parts[1])
    return servers


def cmapss(data: Path, number: int) -> list[Recording]:
    """Engines of the training file, each until it failed; the regime is that of altitude and throttle."""
    with lzma.open(data / "cmapss" / f"train_FD00{number}.txt.xz", "rt") as file:
        table = np.loadtxt(file)
    engines = []
    for unit in np.unique(table[:, 0]):
        rows = table[table[:, 0] == unit]
        regime = np.round(rows[:, 2] / 5).astype(np.int64) * 2 + (rows[:, 4] < 80)
        x = rows[:, 5:][:, CMAPSS_SENSORS]
        engines.append(recording(str(int(unit)), rows[:, 1], x, None, regime if number in (2, 4) else None))
    return engines


def azure(data: Path) -> tuple[dict[int, Recording], dict[int, Float64]]:
    """By machine: four sensors and the number of errors of each kind in the hour before a row; and its failures."""

    def rows_of(name: str) -> list[dict[str, str]]:
        with lzma.open(data / "azure_pdm" / name, "rt") as file:
            return list(csv.DictReader(file))

    telemetry: dict[int, list[tuple[float, dict[str, str]]]] = {}
    for row in rows_of("PdM_telemetry_m001-020_90d.csv.xz"):
        telemetry.setdefault(int(row["machineID"]), []).append((seconds(row["datetime"]), row))
    errors = [
        (int(row["machineID"]), seconds(row["datetime"]), int(row["errorID"][-1]))
        for row in rows_of("PdM_errors.csv.xz")
    ]
    failures = [(int(row["machineID"]), seconds(row["datetime"])) for row in rows_of("PdM_failures.csv.xz")]
    machines, failed = {}, {}
    for machine, rows in sorted(telemetry.items()):
        own = sorted(rows, key=lambda pair: pair[0])
        t_s = np.array([at for at, _ in own])
        x = np.zeros((len(own), 4 + AZURE_ERRORS))
        x[:, :4] = [[float(row[name]) for name in ("volt", "rotate", "pressure", "vibration")] for _, row in own]
        for of, at, kind in errors:
            if of == machine and t_s[0] - 3600 < at <= t_s[-1]:
                x[np.searchsorted(t_s, at), 3 + kind] += 1
        machines[machine] = recording(str(machine), t_s, x)
        failed[machine] = np.array(sorted({at for of, at in failures if of == machine and t_s[0] < at <= t_s[-1]}))
    return machines, failed
