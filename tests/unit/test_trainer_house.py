"""The rooms of the trainer: files and folders, few imports between them, and no circle."""

import ast
import graphlib
from pathlib import Path

import pytest

from tests.unit.test_imports import ROOT, imported

ROOMS = {
    "cli", "cli_data", "config", "config_file", "fit", "distill",
    "anomaly", "data", "graph", "model", "training", "export", "evaluation", "bundle", "baselines",
    "comparison", "recorded",
}  # fmt: skip
IMPORTS_MAX = 60


def imports_between_rooms(root: Path) -> dict[str, set[str]]:
    """The other rooms that each room of `root`/trainer imports; imports inside functions count."""
    rooms: dict[str, set[str]] = {}
    for path in sorted((root / "trainer").rglob("*.py")):
        room = path.relative_to(root / "trainer").parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        others = rooms.setdefault(room, set())
        for name in imported(ast.parse(path.read_text())):
            package, *inside = name.split(".")
            if package == "trainer" and inside and inside[0] != room:
                others.add(inside[0])
    return rooms


def test_the_rooms_are_those_of_the_listing_with_few_imports_and_no_circle():
    rooms = imports_between_rooms(ROOT)
    assert set(rooms) == ROOMS
    assert sum(map(len, rooms.values())) <= IMPORTS_MAX
    graphlib.TopologicalSorter(rooms).prepare()


def test_a_circle_is_found_where_one_import_is_inside_a_function(tmp_path: Path):
    (tmp_path / "trainer" / "data").mkdir(parents=True)
    (tmp_path / "trainer" / "fit.py").write_text("from trainer.data.split import split\n")
    (tmp_path / "trainer" / "data" / "split.py").write_text("def f():\n    import trainer.fit\n")
    rooms = imports_between_rooms(tmp_path)
    assert rooms == {"fit": {"data"}, "data": {"fit"}}
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(rooms).prepare()


def test_nobody_asks_which_table_of_the_configuration_he_has():
    """What differs from data set to data set is asked of the data set itself."""
    trees = {path: ast.parse(path.read_text()) for path in (ROOT / "trainer").rglob("*.py")}
    nodes = [(path, node) for path, tree in trees.items() for node in ast.walk(tree)]
    tables = {
        node.name
        for _, node in nodes
        if isinstance(node, ast.ClassDef)
        and {getattr(base, "id", "") for base in node.bases} & {"Section", "TableKeys"}
    }
    assert {"Cmapss", "Pumps", "Table", "Judge"} <= tables
    for path, node in nodes:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            asked = {one.id for one in ast.walk(node.args[1]) if isinstance(one, ast.Name)}
            assert not asked & tables, f"{path}: line {node.lineno}"
