"""The interventions of a recording: `interventions.csv`, a table of device, t, kind and source.

It is written anew as a whole, since interventions are few, so nobody ever reads half a line.
"""

import csv
import errno
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import numpy as np

from agent import whole_file
from agent.table.recording import INTERVENTIONS
from agent.words import InterventionLabel

HEADER = ("device", "t", "kind", "source")
BYTES_MAX, WAITING_MAX = 2**26, 10_000


class Labels:
    """Those of a folder. counts_cycles: sources whose times are cycles."""

    def __init__(self, folder: Path, counts_cycles: frozenset[str]) -> None:
        self._path = folder / INTERVENTIONS
        self._counts_cycles = counts_cycles
        self._waiting: list[InterventionLabel] = []
        self.n_written = 0

    def hear(self, labels: Sequence[InterventionLabel], name_of: Callable[[str, str], str]) -> None:
        """name_of: the name in the recording of a source's device, at this moment."""
        self._waiting += [label._replace(device=name_of(label.source, label.device)) for label in labels]

    def flush(self) -> None:
        """Raises OSError; they wait then. The file takes BYTES_MAX."""
        if not self._waiting:
            return
        before = self._path.read_bytes() if self._path.exists() else b""
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not before:
            writer.writerow(HEADER)
        for one in self._waiting:
            writer.writerow((one.device, self._time(one.source, one.t_ns), one.kind, one.source))
        whole = before + text.getvalue().encode()
        if len(whole) > BYTES_MAX:
            del self._waiting[WAITING_MAX:]
            raise OSError(errno.EFBIG, "is full: move it elsewhere", str(self._path))
        whole_file.write(self._path, whole)
        self.n_written += len(self._waiting)
        self._waiting = []

    def _time(self, source: str, t_ns: int) -> str:
        return f"{t_ns / 1e9:.17g}" if source in self._counts_cycles else f"{np.datetime64(t_ns, 'ns')}Z"
