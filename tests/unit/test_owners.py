"""One owner a piece of state: a device column is written in the module whose column group it is, and nowhere else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKES_ROOM = "agent/devices/columns.py"  # grows, clears and fills whatever group it is, by no column's name
FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "agent").rglob("*.py"))


def columns_of(path: str) -> Iterator[str]:
    """Names of the columns of the groups that a file defines."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                called = field.value if isinstance(field, ast.AnnAssign) else None
                if isinstance(called, ast.Call) and getattr(called.func, "id", "") == "column":
                    yield field.target.id


OWNERS = {column: path for path in FILES for column in columns_of(path)}


def written(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every attribute whose items are set, `group.column[...] = x`, or that is set as a whole."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            continue
        for target in targets:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                place = part.value if isinstance(part, ast.Subscript) else None
                if isinstance(place, ast.Attribute):
                    yield node.lineno, place.attr


def faults(path: str, source: str) -> list[str]:
    return [
        f"line {line} writes {column}, which is {OWNERS[column]}'s"
        for line, column in written(ast.parse(source))
        if OWNERS.get(column, path) != path
    ]


def test_there_are_columns_of_every_stage_and_each_has_a_name_of_its_own():
    assert {Path(path).parent.name for path in OWNERS.values()} == {"align", "core", "devices", "judge", "step"}
    everywhere = [column for path in FILES for column in columns_of(path)]
    assert sorted(everywhere) == sorted(OWNERS), "two groups have a column of one name"


@pytest.mark.parametrize("path", FILES)
def test_a_column_is_written_by_its_owner_alone(path):
    assert faults(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "stepper.clock.columns.clock_epoch[slots] = 1",
        "columns.newest_ns[slots] += 1",
        "a, columns.quality[slots] = 1, 2",
        "x.state[0]: int = 5",
    ],
)
def test_a_foreign_hand_is_found(source):
    assert len(faults("agent/core/core.py", source)) == 1
