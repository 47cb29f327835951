"""The words of this project: names that were replaced by the field's words do not come back.

Three kinds of names are searched, with Python's own parser, so that prose and data keep their common words:

- functions, classes, modules and parameters that were given another name (`REPLACED`, `IN_TRAINER`);
- vague names (`VAGUE`) for what lives longer than three lines: say what it is;
- phrases of docs, configurations and comments (`PHRASES`).
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ("agent", "trainer", "bench")
TEXTS = (*PYTHON, "docs", "configs")

REPLACED = {
    "Tape": "GraphBuilder",
    "Beside": "keyword arguments of train()",
    "Lesson": "TrainedTeacher",
    "BothWays": "BidirectionalLstm",
    "Answers": "Outputs",
    "Wear": "Decomposed",
    "Warned": "MethodResult",
    "plainly": "dense",
    "multiply": "product",
    "taught_apart": "parameter_groups",
    "hot": "one_hot",
    "filled": "imputed",
    "vary": "augmented",
    "written": "write_bundle",
    "trained": "train_bundle",
    "unmeasured": "new_manifest",
    "amended": "with_manifest",
    "worth": "mean_lead_at_budget",
    "look": "validate",
    "rounded": "fake_quantized",
    "joined": "say which: concatenated, or a late start",
}
"""Old name of a function, class or module, and what it is called now."""

IN_TRAINER = {"live": "features_of", "watch": "validation", "watched": "validation"}
"""As above, of functions, modules, parameters and variables, but in trainer/ and bench/ alone: `live` and `watch` mean
other things elsewhere (not replayed; to go on looking).
"""

VAGUE = {"told", "one", "found", "known", "heard", "said", "mine", "wanted"}
LINES_MAX = 3

PHRASES = {r"\bgoes up\b": "output", r"(?<!\")\bhears\b": "input"}
"""Phrases and what to say instead; a key of a file is not a phrase."""


def faults(path: str, source: str) -> Iterator[str]:
    """What is wrong with the names of the Python file at `path`, relative to the root: `name: why`."""
    tree = ast.parse(source)
    in_trainer = path.startswith(("trainer/", "bench/"))
    stem = path.rpartition("/")[2].removesuffix(".py")
    for name in (stem, *(node.name for node in ast.walk(tree) if isinstance(node, DEFINITIONS))):
        if name in REPLACED:
            yield f"{name}: {REPLACED[name]}"
        if name == "part" and in_trainer:
            yield f"{name}: decompose"
        if name in VAGUE:
            yield f"{name}: says nothing"
    if in_trainer:
        names = {name for node in ast.walk(tree) for name in _bound(node)} | {stem}
        yield from (f"{name}: {better}" for name, better in IN_TRAINER.items() if name in names)
    yield from (f"{name}: lives {n} lines" for name, n in _long_lived(tree))
    yield from (f"{name}: says nothing of a field" for name in _fields(tree) if name in VAGUE)


DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (ast.Module, *DEFINITIONS, *COMPREHENSIONS, ast.Lambda)
FOR_EVER = 10**6


def _bound(node: ast.AST) -> Iterator[str]:
    """Names that a node gives to something."""
    if isinstance(node, DEFINITIONS):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id


def _fields(tree: ast.AST) -> Iterator[str]:
    """Attributes that are set: a field lives as long as its object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _long_lived(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Vague names that live too long, and how many lines: from the first use to the last one in the function, the
    comprehension or the lambda that binds the name. A constant of a module and a field of a class live for ever.
    """
    for scope in ast.walk(tree):
        if isinstance(scope, SCOPES):
            for name in VAGUE & {name for node in _own(scope) for name in _bound(node)}:
                lines = [node.lineno for node in _seeing(scope, name)]
                n_lines = FOR_EVER if isinstance(scope, ast.Module | ast.ClassDef) else max(lines) - min(lines) + 1
                if n_lines > LINES_MAX:
                    yield name, n_lines


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a scope, those of the scopes in it left out."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, SCOPES):
            yield node
            yield from _own(node)


def _seeing(scope: ast.AST, name: str) -> Iterator[ast.Name | ast.arg]:
    """Where `name` of a scope is used, also in scopes in it that do not bind it themselves."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, SCOPES) and name in {name for inner in _own(node) for name in _bound(inner)}:
            continue
        if (isinstance(node, ast.Name) and node.id == name) or (isinstance(node, ast.arg) and node.arg == name):
            yield node
        yield from _seeing(node, name)


def phrase_faults(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        yield from (f"line {number}: {better}" for phrase, better in PHRASES.items() if re.search(phrase, line))


def room_of(path: str) -> str:
    return "/".join(path.split("/")[:2])


FILES = sorted(str(path.relative_to(ROOT)) for part in PYTHON for path in (ROOT / part).rglob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("room", sorted({room_of(path) for path in FILES}))
def test_names_are_the_fields_words(room: str) -> None:
    found = [
        f"{path}: {fault}"
        for path in FILES
        if room_of(path) == room
        for fault in faults(path, (ROOT / path).read_text())
    ]
    assert found == []


TEXT_FILES = sorted(
    str(path.relative_to(ROOT))
    for part in TEXTS
    for path in (ROOT / part).rglob("*")
    if path.suffix in (".py", ".md", ".toml", ".json")
)


def test_phrases_are_the_fields_words() -> None:
    texts = {path: (ROOT / path).read_text() for path in TEXT_FILES}
    assert {path for path, text in texts.items() if any(phrase_faults(text))} == set()


LONG = "    x = 1\n" * 3


@pytest.mark.parametrize(
    ("path", "source", "name"),
    [
        ("trainer/tape.py", "class Tape: ...", "Tape"),
        ("trainer/model/features.py", "def live(history): ...", "live"),
        ("bench/gaps.py", "def f():\n    watch = 1", "watch"),
        ("agent/core/told.py", "", "told"),
        ("agent/core/x.py", "def wanted(): ...", "wanted"),
        ("agent/core/x.py", f"def f():\n    found = 1\n{LONG}    return found", "found"),
        ("agent/core/x.py", f"def f(one):\n{LONG}    return one", "one"),
        ("agent/core/x.py", f"def f():\n    said = 1\n{LONG}    return [x + said for x in y]", "said"),
        ("agent/core/x.py", "class C:\n    mine: int", "mine"),
        ("agent/core/x.py", "class C:\n    def __init__(self):\n        self.known = 1", "known"),
        ("agent/core/x.py", "heard = 1", "heard"),
    ],
)
def test_an_old_name_is_found(path: str, source: str, name: str) -> None:
    assert {fault.partition(":")[0] for fault in faults(path, source)} == {name}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("agent/replay/command.py", "def live(watch): ..."),
        ("trainer/fit.py", 'print("what was found and one more")'),
        ("trainer/fit.py", "for part in parts:\n    print(part)"),
        (
            "trainer/fit.py",
            f"def f():\n    found = g()\n    return found\n\n\ndef h():\n{LONG}    found = 1\n    return found",
        ),
        ("trainer/fit.py", f"def f():\n    x = [one for one in y]\n{LONG}    return [one for one in x]"),
        ("trainer/fit.py", f"def f():\n    x.found()\n{LONG}    x.found()"),
    ],
)
def test_what_is_allowed_is_not_found(path: str, source: str) -> None:
    assert list(faults(path, source)) == []


def test_an_old_phrase_is_found() -> None:
    assert list(phrase_faults("[link]\nwhat goes up = 1\nit hears = 2")) == ["line 2: output", "line 3: input"]
