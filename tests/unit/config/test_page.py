"""docs/configuration.md says what the models say."""

import runpy
from pathlib import Path

from agent.config.load import TYPES
from agent.config.settings import SourceSettings

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_current():
    page = runpy.run_path(str(DOCS / "configuration_page.py"))["page"]()
    assert (DOCS / "configuration.md").read_text() == page, "stale: run `python docs/configuration_page.py`"


def test_every_key_has_a_row():
    page = (DOCS / "configuration.md").read_text()
    for key in [str(key[-1]) for key in TYPES] + list(SourceSettings.model_fields):
        assert f"| `{key}" in page
