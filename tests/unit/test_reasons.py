"""The table of reasons against the code that counts them. mypy holds that no reason is counted that it lacks."""

import ast
from pathlib import Path
from typing import get_args

from agent.reasons import REASONS, ReasonName

AGENT = Path(__file__).parents[2] / "agent"


def texts() -> set[str]:
    """Every string constant in agent/, but for the table's own."""
    files = [file for file in AGENT.rglob("*.py") if file.name != "reasons.py"]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_table_has_each_name_once_and_each_is_counted_somewhere():
    assert list(REASONS) == list(get_args(ReasonName))
    assert set(REASONS) <= texts()


def test_no_other_file_explains_a_reason():
    others = texts()
    for reason in REASONS.values():
        for explanation in (reason.means, reason.next_step):
            assert not [text for text in others if explanation.rstrip(".?") in text], reason.name


def test_each_reason_is_explained_in_sentences():
    for reason in REASONS.values():
        assert reason.means.endswith("."), reason.name
        assert reason.next_step.endswith((".", "?")), reason.name
