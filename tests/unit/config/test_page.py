"""docs/configuration.md names every key; tests/unit/test_docs.py holds that it is fresh."""

from pathlib import Path

from agent.config.load import TYPES
from agent.config.settings import SourceSettings

DOCS = Path(__file__).parents[3] / "docs"


def test_every_key_has_a_row():
    page = (DOCS / "configuration.md").read_text()
    for key in [str(key[-1]) for key in TYPES] + list(SourceSettings.model_fields):
        assert f"| `{key}" in page
