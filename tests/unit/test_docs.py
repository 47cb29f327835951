"""What the documents promise is what the code does."""

import re
from pathlib import Path

from agent.log import DOUBTS

ROOT = Path(__file__).parents[2]


def reasons_in_code() -> set[str]:
    files = [
        "decode/intake.py",
        "decode/json_object.py",
        "core/core.py",
        "core/stepper.py",
        "core/clock.py",
        "receive/inbox.py",
        "receive/client.py",
        "run.py",
    ]
    text = "\n".join((ROOT / "agent" / name).read_text() for name in files)
    listed = re.findall(r'\((?:impossible|future|empty|missing[^,]*|spacing\.\w+), "(\w+)"', text)
    quoted = re.findall(r'"((?:max|foreign|duplicate|missing|extra|no|not|wrong|too|out|device|impossible)_\w+)"', text)
    plain = re.findall(
        r'"(empty|malformed|retained|topic|late|repeated|future|clock_rebased|clock_unsteady|forgotten|outbox_full|'
        r'score_not_sent|protocol_error)"',
        text,
    )
    return {*listed, *quoted, *plain}


def test_every_reason_of_a_drop_is_explained():
    text = (ROOT / "docs/sources.md").read_text()
    explained = set(re.findall(r"^\| `(\w+)` \|", text, re.M)) | {"outbox_full", "score_not_sent"}
    assert "`outbox_full`" in text
    assert "`score_not_sent`" in text
    assert reasons_in_code() == explained
    assert set(DOUBTS) <= explained


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_the_tests_that_reliability_names_exist():
    text = (ROOT / "docs/reliability.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    written = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 20
    assert named <= written
    for path in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
