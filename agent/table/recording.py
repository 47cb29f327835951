"""Names of files and devices in a recording, which `forewarn record` writes and every reader of a folder meets.

A file is named after the day and the flushes whose rows it holds: `2026-11-28.000001-000057.parquet`. Small files are
joined into a larger one, which is there before they go; whoever dies or reads in between finds rows twice. So a file
that another one of its folder contains, by their names, is no part of the recording any more.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

INTERVENTIONS = "interventions.csv"
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)\.(\d{6,18})-(\d{6,18})\.parquet")


class Part(NamedTuple):
    """What a file holds: the rows of flushes `first` to `last` of a UTC day."""

    day: str
    first: int
    last: int

    @property
    def name(self) -> str:
        return f"{self.day}.{self.first:06d}-{self.last:06d}.parquet"

    @classmethod
    def of(cls, name: str) -> "Part | None":
        """None for a file of another name."""
        match = _NAME.fullmatch(name)
        return cls(match[1], int(match[2]), int(match[3])) if match else None


def contained(paths: Sequence[Path]) -> set[Path]:
    """Those whose rows are in another one of them too."""
    parts: dict[tuple[Path, str], list[tuple[Part, Path]]] = defaultdict(list)
    for path in paths:
        if part := Part.of(path.name):
            parts[path.parent, part.day].append((part, path))
    files = set()
    for of_day in parts.values():
        last = 0
        for part, path in sorted(of_day, key=lambda one: (one[0].first, -one[0].last)):
            if part.last <= last:
                files.add(path)
            last = max(last, part.last)
    return files


def readable_name(device: str) -> str:
    """The device's name as one that a reader takes; `/ + # % ~` cannot be in it."""
    return quote(device, safe="").replace("~", "%7E") if set(device) & set("/+#%~") else device
