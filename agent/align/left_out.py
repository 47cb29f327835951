"""Why rows are left out for their time, in words for a person."""

from collections.abc import Iterator

from agent.align.spacing import Spacing
from agent.bundle.manifest import Manifest
from agent.reasons import ReasonName
from agent.words import Int64


def reasons_left_out(spacing: Spacing, elapsed_ns: Int64, manifest: Manifest) -> Iterator[tuple[int, ReasonName, str]]:
    """Index, reason and detail of each row that is left out; elapsed_ns int64 [b] since the device's newest row."""
    unit = "cycles" if manifest.time_unit == "cycle" else "s"
    for row in spacing.left_out.nonzero()[0].tolist():
        span = f"{abs(int(elapsed_ns[row])) / 1e9:g} {unit}"
        if spacing.late[row]:
            yield row, "late", f"{span} before the device's newest row"
        elif spacing.repeated[row]:
            yield row, "repeated", "at the time of the device's newest row"
        else:
            every = f"{manifest.cadence.every_s:g} {unit}"
            yield row, "too_fast", f"{span} after the row before it; this bundle steps a row each {every}"
