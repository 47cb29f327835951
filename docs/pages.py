"""Writes what is generated in README and docs: `make docs`, or `python -m docs.pages`.

The pages of configuration and commands are generated as a whole, and so are the tables of fields in topics, of
reasons in sources and of methods in baselines, and the drawing of a connection's life in operations: from the code. On
all others, what stands between `<!-- made: NAME ... -->` and `<!-- end -->` is a block: a table or an output. A block
comes
- from a JSON file in docs/figures that a command wrote (`figures.py`), where the command takes long or measures: the
  text is made from the JSON, exactly; or
- from a command that is run now (`follow_guide.py`): words must be equal, numbers within TOLERANCE, since another CPU
  rounds another way and a clock goes on. What is within it is left as it stands.

Any other output or table of figures says in a comment before it why nothing makes it: `<!-- by hand: ... -->` for an
example of a form, `<!-- measured at COMMIT: COMMAND -->` for figures without a JSON. `tests/unit/test_docs.py` and
`tests/broker/test_guide.py` hold all this.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from docs import alerts_page, baselines_page, configuration_page, links_page, sources_page, topics_page
from docs.figures import BLOCKS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TOLERANCE = 0.05
SMALL = 0.1  # numbers below it may differ by what this one may
MADE = re.compile(r"<!-- made: (\w+)[^\n]*-->\n(.*?)<!-- end -->", re.DOTALL)
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)?")
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def hand_written() -> list[Path]:
    """The pages that are not generated as a whole."""
    whole = {DOCS / "configuration.md", DOCS / "commands.md"}
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(set(DOCS.rglob("*.md")) - whole)]


def with_blocks(text: str, outputs: Mapping[str, str]) -> str:
    """A page with its blocks made anew: those of BLOCKS, and those that `outputs` has by name; others are left."""

    def block(match: re.Match[str]) -> str:
        name, old = match[1], match[2]
        if name in BLOCKS:
            made = BLOCKS[name]
            return f"<!-- made: {name}; {made.origin} -->\n{made.text()}\n<!-- end -->"
        new = f"{outputs[name]}\n" if name in outputs else old
        return match[0] if is_close(old, new) else match[0].replace(old, new)

    return MADE.sub(block, text)


def is_close(old: str, new: str, tolerance: float = TOLERANCE) -> bool:
    """Whether two outputs have the same words, and numbers that differ by no more than a share of them."""
    old, new = (_ISO_TIME.sub("TIME", text) for text in (old, new))
    if _words(old) != _words(new):
        return False
    pairs = zip(_numbers(old), _numbers(new), strict=True)
    return all(abs(a - b) <= tolerance * max(abs(a), abs(b), SMALL) for a, b in pairs)


def _words(text: str) -> list[str]:
    return _NUMBER.sub("N", text).split()


def _numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in _NUMBER.findall(text)]


def generated() -> Iterator[tuple[Path, Callable[[], str]]]:
    """Every file that needs no broker, with a function that makes it anew; a later one may read an earlier."""
    schema = DOCS / "schemas" / "status.schema.json"
    yield schema, lambda: sources_page.schema(schema.read_text())
    yield DOCS / "configuration.md", configuration_page.page
    yield DOCS / "commands.md", commands
    for path in hand_written():
        yield path, partial(with_tables_and_blocks, path)


def with_tables_and_blocks(path: Path) -> str:
    """A page written by hand, with the tables and blocks on it made anew."""
    tables = {
        "baselines.md": baselines_page.page,
        "operations.md": links_page.page,
        "alerts.md": alerts_page.page,
        "sources.md": sources_page.page,
        "topics.md": topics_page.page,
    }
    text = path.read_text()
    return with_blocks(tables[path.name](text) if path.name in tables else text, {})


def commands() -> str:
    """The page of commands, in a process of its own: click keeps the options that a test has made."""
    program = "from docs.commands_page import page; print(end=page())"
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def main() -> None:
    for path, page in generated():
        _write(path, page())
    from docs.follow_guide import follow, why_not  # needs a broker

    if missing := why_not():
        sys.stderr.write(f"the outputs of docs/guide.md are left as they are: {missing}\n")
        return
    outputs = follow()
    for path in hand_written():
        _write(path, with_blocks(path.read_text(), outputs))


def _write(path: Path, text: str) -> None:
    if path.read_text() != text:
        path.write_text(text)
        sys.stderr.write(f"{path.relative_to(ROOT)} is new\n")


if __name__ == "__main__":
    main()
