"""What the documents promise is what the code does."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.publish.message import EventMessage, ScoreMessage
from agent.publish.others import Instance
from agent.publish.status import Status
from agent.reasons import REASONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_every_reason_of_a_drop_is_explained():
    """On the page of sources and in the status schema, which are made from the table."""
    generated = runpy.run_path(str(DOCS / "sources_page.py"))
    for file, write in ((generated["PAGE"], generated["page"]), (generated["SCHEMA"], generated["schema"])):
        assert file.read_text() == write(file.read_text()), f"{file} is stale: run `python docs/sources_page.py`"
    explained = re.findall(r"^\| `(\w+)` \| (?:yes|no) \|", (DOCS / "sources.md").read_text(), re.MULTILINE)
    assert explained == [*REASONS]


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


def test_the_page_of_commands_is_that_of_the_commands_and_each_says_what_it_does():
    """Each command has a help text and a line in its list; each option has a sentence."""
    show = "import runpy; print(end=runpy.run_path('docs/commands_page.py')['page']())"  # click keeps help options
    page = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (DOCS / "commands.md").read_text() == page, "stale: run `python docs/commands_page.py`"
    generated = runpy.run_path(str(DOCS / "commands_page.py"))
    contexts = [
        context
        for program, group in generated["PROGRAMS"].items()
        for context in generated["commands"](generated["click"].Context(group, info_name=program))
    ]
    assert len(contexts) >= 8
    for context in contexts:
        assert len(context.command.help) > 20, context.command_path
        assert len(context.command.get_short_help_str()) > 10, context.command_path
        for option in context.command.params:
            assert option.param_type_name == "argument" or len(option.help or "") > 10, (
                context.command_path,
                option.name,
            )


def test_the_fields_on_the_page_of_topics_are_those_of_the_schemas():
    text = (DOCS / "topics.md").read_text()
    assert text == runpy.run_path(str(DOCS / "topics_page.py"))["page"](text), "stale: run `python docs/topics_page.py`"
    assert re.findall(r"<!-- fields of (\w+) -->", text) == ["instance", "status", "event", "score"]
    for field in ("node", "broker.input.path", "time_to_fault.at_most", "rul"):
        assert f"| `{field}` |" in text


def fields_of(schema: dict[str, object], parts: dict[str, object], above: str = "") -> set[tuple[str, bool]]:
    """(name, is it always there) of every field that has a name of its own."""
    schema = next((one for one in schema.get("anyOf", []) if one != {"type": "null"}), schema)
    schema = parts[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    found = set()
    for name, field in schema.get("properties", {}).items():
        found |= {(f"{above}{name}", name in schema["required"]), *fields_of(field, parts, f"{above}{name}.")}
    return found


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("instance", Instance),
        ("status", Status),
        ("event", EventMessage),
        ("alert", EventMessage),
        ("score", ScoreMessage),
    ],
)
def test_the_schema_has_the_fields_of_the_message(kind, message):
    """Names, and which may be absent, those of inner objects too: a field that is added must be described.

    What the message holds as a dict of any names, `tests/broker/test_schemas.py` sees in real traffic.
    """
    schema = json.loads((DOCS / "schemas" / f"{kind}.schema.json").read_text())
    (of_message,), parts = msgspec.json.schema_components([message])
    coded = fields_of(of_message, parts)
    inner = {name.rpartition(".")[0] for name, _ in coded}
    described = fields_of(schema, schema.get("$defs", {}))
    assert {one for one in described if one[0].rpartition(".")[0] in inner} == coded


def test_every_page_is_in_the_index():
    linked = set(re.findall(r"\]\(([^)#:]+)\)", (DOCS / "index.md").read_text()))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}
    schemas = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.schema.json")}
    assert pages | schemas <= linked
