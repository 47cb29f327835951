"""docs/guide.md, followed with the demo's bundle: every command runs, and prints what the page shows."""

import pytest

from docs import pages
from docs.follow_guide import fences, follow, why_not
from tests.broker.schemas import faults
from tests.conftest import require


@pytest.mark.slow
def test_the_outputs_on_the_pages_are_what_the_commands_print():
    """Words exactly, numbers within `pages.TOLERANCE`; README's event comes from the same run."""
    require("mosquitto", not why_not(), why_not())
    outputs = follow()
    shown = {name: old for path in pages.hand_written() for name, old in pages.MADE.findall(path.read_text())}
    assert outputs.keys() == shown.keys() - pages.BLOCKS.keys()
    for name, output in outputs.items():
        assert pages.is_close(shown[name], output), f"{name} is stale: run `make docs`\n{output}"


def test_the_warning_that_the_guide_shows_is_one():
    """It fits the schema of its topic."""
    (shown,) = fences("json")
    assert faults("forewarn/gateway-1/alert/pumps/pump-0022/risk", shown.encode()) == []
