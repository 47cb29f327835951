"""The table of reasons against the code that counts them. mypy holds that no reason is counted that it lacks."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from agent.reasons import REASONS, ReasonName

AGENT = Path(__file__).parents[2] / "agent"


def nodes() -> Iterator[ast.AST]:
    """All of agent/, but for the table itself."""
    for file in AGENT.rglob("*.py"):
        if file.name != "reasons.py":
            yield from ast.walk(ast.parse(file.read_text()))


def text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.slow
def test_the_table_has_each_name_once_and_each_is_counted_somewhere():
    """A reason is counted as an argument, or beside a source, a message or a mask."""
    assert list(REASONS) == list(get_args(ReasonName))
    calls = (node.args for node in nodes() if isinstance(node, ast.Call))
    tuples = (node.elts for node in nodes() if isinstance(node, ast.Tuple))
    assert set(REASONS) <= {text(node) for together in (*calls, *tuples) for node in together}


def test_no_other_file_explains_a_reason():
    others = {text(node) for node in nodes()}
    for reason in REASONS.values():
        for explanation in (reason.means, reason.next_step):
            assert not [other for other in others if explanation.rstrip(".?") in other], reason.name


def test_each_reason_is_explained_in_sentences():
    for reason in REASONS.values():
        assert reason.means.endswith("."), reason.name
        assert reason.next_step.endswith((".", "?")), reason.name
