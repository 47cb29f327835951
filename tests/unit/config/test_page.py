"""docs/configuration.md names every key; tests/unit/test_docs.py holds that it is fresh."""

from pathlib import Path

from agent.config.key_types import key_types
from agent.config.settings import Model, Settings
from agent.config.source_settings import SourceSettings

DOCS = Path(__file__).parents[3] / "docs"


def test_every_key_has_a_row():
    page = (DOCS / "configuration.md").read_text()
    for key in [str(key[-1]) for key, _ in key_types(Settings)] + [*Model.model_fields, *SourceSettings.model_fields]:
        assert f"| `{key}" in page
