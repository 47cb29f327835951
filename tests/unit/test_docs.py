"""What the documents promise is what the code does."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest

from agent.bundle import file
from agent.config.settings import Agent
from agent.core.entries import Entry
from agent.decode.alert_command import AlertCommandMessage
from agent.judge.threshold import choose, parse_budget
from agent.publish.handled import HandledMessage
from agent.publish.message import EventMessage, ScoreMessage
from agent.publish.others import Instance
from agent.publish.status import Status
from agent.reasons import REASONS
from docs import commands_page, pages
from docs.figures import BLOCKS, FIGURES
from docs.record import BUNDLE
from tests.unit.test_imports import LAYERS, is_module

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.slow
@pytest.mark.parametrize(("path", "page"), list(pages.generated()), ids=lambda value: getattr(value, "name", ""))
def test_what_is_generated_is_fresh(path, page):
    assert path.read_text() == page(), "stale: run `make docs`"


def test_every_block_is_one_that_something_makes():
    """And every JSON of a figure is shown somewhere."""
    named = {name for path in pages.hand_written() for name, _ in pages.MADE.findall(path.read_text())}
    followed = {name for name in named if name.startswith(("guide_", "readme_event"))}
    assert named - followed == BLOCKS.keys()
    assert {name for block in BLOCKS.values() for name in block.files} == {one.name for one in FIGURES.iterdir()}


def test_the_demo_was_recorded_with_the_bundle_that_the_tests_hold():
    """Else the guide, which is followed with that bundle, and README would speak of two."""
    recorded = json.loads((FIGURES / "demo.json").read_text())["bundle"]["digest"]
    assert recorded == file.read(BUNDLE).digest, "run `python -m docs.record`"


def unmarked(text: str) -> list[str]:
    """First lines of outputs and tables of figures on a page that no comment before them says the origin of."""
    text = re.sub(
        r"<!-- (?:links|reasons|fields of \w+) -->\n.*?<!-- end -->", "", pages.MADE.sub("", text), flags=re.DOTALL
    )
    found, before, lines = [], "", iter(text.splitlines())
    for line in lines:
        block = [line]
        if line.startswith("```"):
            block += iter(lambda: next(lines), "```")
        elif line.startswith("|"):
            while (line := next(lines, "")).startswith("|"):
                block.append(line)
        is_marked = re.match(r"<!-- (by hand: .+|measured at [0-9a-f]{7}: .+) -->$", before)
        if (is_output(block) or is_figures(block)) and not is_marked:
            found.append(" ".join(block[:2]))
        before = line if block[0].startswith("|") else block[-1]
    return found


def is_output(block: list[str]) -> bool:
    return block[0] in ("```", "```text", "```json") or block[0].startswith("    ")


def is_figures(block: list[str]) -> bool:
    """A table of which two cells in five, those of the first column aside, begin with a number."""
    if not block[0].startswith("|"):
        return False
    cells = [cell.strip(" *~<>") for row in block[2:] for cell in row.strip("|").split("|")[1:]]
    return sum(bool(re.match(r"[-+]?\d", cell)) for cell in cells) >= 0.4 * max(1, len(cells))


@pytest.mark.parametrize("path", pages.hand_written(), ids=lambda path: path.name)
def test_an_output_and_a_table_of_figures_says_what_made_it(path):
    assert unmarked(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("```text\n7 devices\n```\n", 1),
        ("```\n7 devices\n```\n", 1),
        ("<!-- by hand: a form -->\n```json\n{}\n```\n", 0),
        ("<!-- by hand: -->\n```json\n{}\n```\n", 1),
        ("```sh\nforewarn run\n```\n", 0),
        ("It says:\n\n    7 devices\n", 1),
        ("<!-- made: x; y -->\n```text\n7\n```\n<!-- end -->\n", 0),
        ("| a | b |\n|---|---|\n| LSTM | **9.5** |\n", 1),
        ("<!-- measured at 3898c20: python -m bench.cells -->\n| a | b |\n|---|---|\n| LSTM | 9.5 |\n", 0),
        ("| a | b |\n|---|---|\n| LSTM | a network |\n", 0),
    ],
)
def test_what_nobody_marked_is_found(text, n):
    assert len(unmarked(text)) == n


@pytest.mark.parametrize(
    ("old", "new", "is_close"),
    [
        ("39 in 37,738 hours", "39  in 37,738 hours", True),
        ("risk 0.62 since 2024-01-21T23:00:00+00:00", "risk 0.63 since 2025-11-28T02:19:23+00:00", True),
        ("risk 0.62", "risk 0.72", False),
        ("risk 0.001", "risk 0.002", True),
        ("2 alerts stand", "2 alert stands", False),
        ("1 standing", "1 standing, 2 more", False),
    ],
)
def test_an_output_may_differ_in_the_last_digits_only(old, new, is_close):
    assert pages.is_close(old, new) == is_close


def test_the_rooms_of_the_architecture_are_the_layers_that_a_test_holds():
    rooms = re.findall(r"^\d+\. (`\w+`(?:, `\w+`)*)", (DOCS / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    there = [{room for room in layer if is_module(f"agent.{room}")} for layer in LAYERS]
    assert [set(re.findall(r"\w+", line)) for line in rooms] == there


def test_the_entries_of_the_architecture_are_those_that_the_core_takes():
    described = re.findall(r"^\| `(\w+)` \| [A-Z][^|]+ \| `", (DOCS / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    assert described == [kind.__name__ for kind in get_args(Entry)]


def test_the_files_of_the_architecture_are_there():
    text = (DOCS / "ARCHITECTURE.md").read_text()
    names = {path.name for folder in ("agent", "trainer", "tests") for path in (ROOT / folder).rglob("*.py")}
    assert {name.rpartition("/")[2] for name in re.findall(r"`([\w/]+\.py)`", text)} <= names
    for path in re.findall(r"`((?:agent|trainer|tests|docs)/[\w./]+)`", text):
        assert (ROOT / path).exists(), path


def test_every_reason_of_a_drop_is_explained():
    explained = re.findall(r"^\| `(\w+)` \| (?:yes|no) \|", (DOCS / "sources.md").read_text(), re.MULTILINE)
    assert explained == [*REASONS]


@pytest.mark.slow
def test_the_commands_of_contributing_exist():
    """Targets of make, files, folders and dicts; the one test that it runs as an example runs."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z-]+)`", text)) == {*targets} - {"setup", "mosquitto", "clean"}
    for path in re.findall(r"(?:`|pytest )((?:agent|trainer|bench|tests|docs)/[\w/.]*)", text):
        assert (ROOT / path).exists(), path
    listed = re.findall(r"`([A-Z]+)` in `([\w/.]+)`", text)
    assert len(listed) >= 8
    for name, path in listed:
        assert re.search(rf"^{name}\b", (ROOT / path).read_text(), re.MULTILINE), (name, path)
    one_file = re.findall(r"\.venv/bin/python -m (pytest \S+ -q)", text)[-1].split()
    run = subprocess.run([sys.executable, "-m", *one_file], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.slow
def test_the_service_is_installed_as_operations_says(tmp_path):
    """Its commands in a root of its own, with the bundle that they name; but for the installation of the program."""
    program = tmp_path / "opt" / "forewarn" / "bin" / "forewarn"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m agent.cli "$@"\n')
    program.chmod(0o755)
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    checkout = tmp_path / "checkout"
    for part in ("configs", "deploy"):
        shutil.copytree(ROOT / part, checkout / part)
    shutil.copy(BUNDLE, checkout)
    install = (DOCS / "operations.md").read_text().partition("## Install\n")[2].partition("\n## ")[0]
    lines = "".join(re.findall(r"^```sh\n(.*?)^```$", install, re.MULTILINE | re.DOTALL)).splitlines()
    followed = [line for line in lines if line.startswith(("install ", "/opt/forewarn/bin/forewarn "))]
    assert len(followed) == 5
    commands = "\n".join(re.sub(r"(?<=\s)/(?=etc|opt)|^/", f"{tmp_path}/", line) for line in followed)
    run = subprocess.run(
        ["sh", "-eu", "-c", commands],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FOREWARN_AGENT__STATE_DIR": str(tmp_path / "var/lib/forewarn")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert f"{tmp_path}/etc/forewarn/forewarn.toml: ok: reads pumps" in run.stdout
    assert run.stderr == "", "nothing is doubtful"
    unit = (tmp_path / "etc/systemd/system/forewarn.service").read_text()
    assert "/opt/forewarn/bin/forewarn run --config /etc/forewarn/forewarn.toml" in unit
    assert "StateDirectory=forewarn" in unit
    assert "state_dir" not in (tmp_path / "etc/forewarn/forewarn.toml").read_text()
    assert Agent().state_dir == Path("/var/lib/forewarn")


def test_a_larger_budget_warns_of_as_many_failures_as_the_guide_says():
    thresholds = file.read(BUNDLE).manifest.judging["risk"].thresholds
    shown = re.findall(r"(\d+) of (\d+) at `(\"[^`]+\")`", " ".join((DOCS / "guide.md").read_text().split()))
    assert len(shown) == 2
    for warned_of, failures, budget in shown:
        chosen = choose(thresholds, parse_budget(budget.strip('"'), fleet_size=0))
        assert (chosen.warned_of, chosen.failures) == (int(warned_of), int(failures))


def test_links_between_documents_lead_somewhere():
    """Files and headings: GitHub's anchor of a heading is its words in small letters, joined by dashes."""
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
            path = page.parent / target if target else page
            assert path.exists(), f"{page.relative_to(ROOT)} links to {target}"
            assert not anchor or anchor in anchors(path), f"{page.relative_to(ROOT)} links to {target}#{anchor}"


@pytest.mark.parametrize("page", ["reliability.md", "faults.md"])
def test_the_tests_that_a_page_of_faults_names_exist(page):
    text = (DOCS / page).read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    written = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 20
    assert named <= written
    for path in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)", text)) <= targets


def test_every_fault_has_a_test_or_a_sentence_why_not():
    rows = re.findall(r"^\| ([A-H][\w, ]*) \| (.+) \| (.+) \|(.*)\|$", (DOCS / "faults.md").read_text(), re.MULTILINE)
    ids = [name for row in rows for name in row[0].split(", ")]
    known = {"A": 25, "B": 24, "C": 14, "D": 8, "E": 14, "F": 9, "G": 10, "H": 5}
    assert sorted(ids) == sorted(f"{letter}{n}" for letter, last in known.items() for n in range(1, last + 1))
    for name, _, outcome, held_by in rows:
        assert "`" in held_by or outcome.lstrip().startswith("not "), name


def test_each_command_and_option_says_what_it_does():
    """Each command has a help text and a line in its list; each option has a sentence."""
    contexts = [
        context
        for program, group in commands_page.PROGRAMS.items()
        for context in commands_page.commands(click.Context(group, info_name=program))
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


def test_the_page_of_topics_has_every_field():
    text = (DOCS / "topics.md").read_text()
    assert re.findall(r"<!-- fields of (\w+) -->", text) == [
        "instance",
        "status",
        "event",
        "score",
        "intervention",
        "label",
        "handled",
        "cmd",
        "cmd_label",
        "cmd_alert",
    ]
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
        ("handled", HandledMessage),
        ("cmd_alert", AlertCommandMessage),
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
