"""Times before 2000 under a clock unit: taken as they are, since a recording may begin at any second, but told."""

from datetime import UTC, datetime

import numpy as np

from agent.table.form import TableForm
from agent.table.rows import Rows
from agent.table.times_meant import YEAR_2000_NS, meant


def doubt_of(rows: Rows, form: TableForm) -> str:
    """What to tell of the first such time, "" where there is none."""
    early = np.flatnonzero(rows.t_ns < YEAR_2000_NS)
    if form.unit == "cycle" or not form.time or not len(early):
        return ""
    first = int(early[0])
    at = datetime.fromtimestamp(int(rows.t_ns[first]) // 10**9, UTC).replace(tzinfo=None)
    cell = rows.cell(first, form.time)
    looks = meant(cell.strip("'"), form.unit)
    what = f"{rows.place(first)}: column {form.time!r} is {cell}, which is {at.isoformat()}Z"
    return f"{what}. It looks like {looks}." if looks else f"{what}. Is that right?"
