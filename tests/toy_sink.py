"""The sink that docs/sinks.md shows, as its readers would add it: its code is taken from the page."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "sinks.md"
FILE = "events.jsonl"  # in the state directory


def code() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return found


def write_site(folder: Path) -> None:
    """Two files for PYTHONPATH: the sink's own, and the line in SINKS for a whole agent that starts there."""
    (folder / "lines.py").write_text(code())
    (folder / "sitecustomize.py").write_text(
        'from agent.publish.sinks import SINKS\nfrom lines import LINES\n\nSINKS["lines"] = LINES\n'
    )
