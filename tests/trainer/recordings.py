"""A small fleet as a user's own recordings, and how to change a file of them."""

from pathlib import Path

from tests.trainer.fleet import NAMES, fleet
from trainer.data.table import Table, write_table

DEVICES = 14
ROWS, FAILURES = "rows.csv", "failures.csv"


def table(**fields: object) -> Table:
    of = {"rows": ROWS, "failures": FAILURES, "channels": NAMES, "time_unit": "cycle"} | fields
    return Table.model_validate({"dataset": "table", **of})


def write_fleet(folder: Path) -> None:
    """Fourteen engines as `forewarn-train fit` records the devices it plays; engine 1 has lines 2 to 51."""
    write_table(fleet(DEVICES), NAMES, folder / ROWS, folder / FAILURES)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def write(path: Path, text: list[str]) -> None:
    path.write_text("\n".join(text) + "\n")


def set_cell(path: Path, line: int, column: int, text: str) -> None:
    content = lines(path)
    cells = content[line - 1].split(",")
    cells[column] = text
    content[line - 1] = ",".join(cells)
    write(path, content)
