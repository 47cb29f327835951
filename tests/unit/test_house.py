"""House rules: what the formatter and the type checker cannot hold."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 350
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 8
VAGUE_FILES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "base",
    "misc",
    "manager",
    "handler",
    "service",
    "shared",
}
TERMS = {"service_manager"}  # what systemd calls itself
VAGUE_CLASSES = ("Manager", "Handler", "Service", "Helper", "Base", "Factory", "Mixin", "Util", "Utils")
PRINTS = {"agent/cli.py", "trainer/cli.py"}
LAST_RESORT = {"agent/run.py", "agent/receive/paho_check.py"}
EVERYTHING = ("", "Exception", "BaseException")
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def faults(path: str, source: str) -> Iterator[str]:
    """What is wrong with the file at `path`, relative to the root."""
    n_lines = source.count("\n")
    if n_lines > LINES_MAX:
        yield f"{n_lines} lines: a file has one job and up to {LINES_MAX} lines"
    for part in path.removesuffix(".py").split("/"):
        if part not in TERMS and set(part.split("_")) & VAGUE_FILES:
            yield f"{part} says nothing about what is in it"
    for number, line in enumerate(source.splitlines(), 1):
        if MARKS.search(line):
            yield f"line {number}: do it, or open an issue"
    tree = ast.parse(source)
    if tree.body and not ast.get_docstring(tree):
        yield "no docstring says what the file is for"
    for node in ast.walk(tree):
        yield from (f"line {getattr(node, 'lineno', 0)}: {fault}" for fault in _node_faults(path, node))
        if isinstance(node, ast.FunctionDef):
            yield from (f"line {node.lineno}: {fault}" for fault in _size_faults(node))


def _size_faults(function: ast.FunctionDef) -> Iterator[str]:
    """Is it too long to be read at once? A click command has a parameter an option, and may say so."""
    n_lines = (function.end_lineno or 0) - function.lineno + 1
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    n_parameters = len([name for name in names if name not in ("self", "cls")])
    is_command = any(
        isinstance(one, ast.Call) and getattr(one.func, "attr", "") == "command" for one in function.decorator_list
    )
    if n_lines > FUNCTION_LINES_MAX and not is_command:
        yield f"{function.name} has {n_lines} lines, at most {FUNCTION_LINES_MAX} can be read at once"
    if n_parameters > PARAMETERS_MAX and not is_command:
        yield f"{function.name} has {n_parameters} parameters, at most {PARAMETERS_MAX} can be kept in mind"


def _node_faults(path: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("print", "breakpoint") and path not in PRINTS:
        yield "only a cli prints"
    if isinstance(node, ast.ClassDef) and node.name.endswith(VAGUE_CLASSES):
        yield f"{node.name} says nothing about what it does"
    if isinstance(node, ast.ExceptHandler):
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        goes_on = not isinstance(node.body[-1], ast.Raise)
        if goes_on and any(_name(one) in EVERYTHING for one in caught) and path not in LAST_RESORT:
            yield "only the outermost loop catches everything"
        if all(isinstance(step, ast.Pass) for step in node.body):
            yield "an error is passed over in silence; contextlib.suppress says which"
    if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "suppress":
        yield from ("only the outermost loop catches everything" for one in node.args if _name(one) in EVERYTHING)


def _name(node: ast.expr | None) -> str:
    """The name of a plain name, "" for none at all."""
    return getattr(node, "id", "?") if node else ""


FILES = sorted(str(path.relative_to(ROOT)) for part in ("agent", "trainer") for path in (ROOT / part).rglob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES)
def test_house_rules(path):
    assert list(faults(path, (ROOT / path).read_text())) == []


DOCUMENTED = '"""What it is for."""\n'


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("agent/x.py", DOCUMENTED + "x = 1\n" * 350),
        ("agent/utils.py", DOCUMENTED),
        ("agent/store_helpers.py", DOCUMENTED),
        ("agent/common/x.py", DOCUMENTED),
        ("agent/x.py", "x = 1\n"),
        ("agent/x.py", DOCUMENTED + "# TODO: later\n"),
        ("agent/x.py", DOCUMENTED + "print(1)\n"),
        ("agent/x.py", DOCUMENTED + "class DeviceManager: ...\n"),
        ("agent/x.py", DOCUMENTED + "try:\n    x()\nexcept:\n    y()\n"),
        ("agent/x.py", DOCUMENTED + "try:\n    x()\nexcept Exception:\n    y()\n"),
        ("agent/x.py", DOCUMENTED + "try:\n    x()\nexcept (OSError, BaseException):\n    y()\n"),
        ("agent/x.py", DOCUMENTED + "try:\n    x()\nexcept OSError:\n    pass\n"),
        ("agent/x.py", DOCUMENTED + "with suppress(Exception):\n    x()\n"),
        ("agent/x.py", DOCUMENTED + "def f():\n" + "    x()\n" * 60),
        ("agent/x.py", DOCUMENTED + "def f(a, b, c, d, e, f, g, *, h, i):\n    x()\n"),
        ("agent/x.py", DOCUMENTED + "@cached(1)\ndef f(a, b, c, d, e, f, g, h, i):\n    x()\n"),
    ],
)
def test_a_broken_rule_is_found(path, source):
    assert len(list(faults(path, source))) == 1


def test_what_is_allowed_is_not_found():
    source = DOCUMENTED + "try:\n    x()\nexcept Exception as error:\n    log(error)\n"
    assert list(faults("agent/run.py", source)) == []
    assert list(faults("agent/cli.py", DOCUMENTED + "print(1)\n")) == []
    undone = DOCUMENTED + "try:\n    x()\nexcept BaseException:\n    undo()\n    raise\n"
    assert list(faults("agent/x.py", undone)) == []
    assert list(faults("agent/x.py", DOCUMENTED + "x = 1\n" * 349)) == []
    assert list(faults("agent/x.py", DOCUMENTED + "def f(self, a, b, c, d, e, f, g, h):\n" + "    x()\n" * 59)) == []
    assert (
        list(faults("agent/cli.py", DOCUMENTED + "@cli.command()\ndef f(a, b, c, d, e, f, g, h, i):\n    x()\n")) == []
    )
