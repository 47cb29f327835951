"""What a time looks like that cannot be right: a number in another unit, a spreadsheet's date, a counter."""

from datetime import datetime, timedelta
from typing import Final

from agent.table.form import FileUnit
from agent.values.times import NS_PER

YEAR_2000_NS: Final = 946_684_800 * 10**9
YEAR_2100_NS: Final = 4_102_444_800 * 10**9
CLOCKS: Final[dict[FileUnit, tuple[str, int]]] = {
    "s": ("seconds", NS_PER["s"]),
    "ms": ("milliseconds", NS_PER["ms"]),
    "us": ("microseconds", NS_PER["us"]),
    "ns": ("nanoseconds", 1),
}
SERIAL_DAYS: Final = (36_526, 73_051)  # 2000 to 2100, in days since the end of 1899 as spreadsheets count them
SERIAL_DAY_0: Final = datetime(1899, 12, 30)


def meant(cell: object, unit: FileUnit) -> str:
    """What a cell looks like that is no time from 2000 on in its unit, "" for nothing in particular."""
    try:
        number = float(str(cell))
    except ValueError:
        return ""
    for name, (words, ns) in CLOCKS.items():
        if name != unit and YEAR_2000_NS <= number * ns < YEAR_2100_NS:
            return f'{words} since 1970, which is the unit "{name}"'
    if SERIAL_DAYS[0] <= number < SERIAL_DAYS[1]:
        date = (SERIAL_DAY_0 + timedelta(days=number) + timedelta(microseconds=500_000)).replace(microsecond=0)
        return f"a date as spreadsheets count days, {date.isoformat()}: write it as a text"
    if unit in CLOCKS and 0 <= number < 1e7 and number.is_integer():
        return 'a counter, which is the unit "cycle"'
    return ""
