"""What the trainer's tests share: the recorded engines, and a fleet of small made-up ones."""

import os
from pathlib import Path

import pytest

from trainer.data.cmapss import cmapss_folder


@pytest.fixture
def cmapss() -> Path:
    """The C-MAPSS folder of $FOREWARN_DATA; absent data is a failure where FOREWARN_REQUIRE names `data`."""
    data = os.environ.get("FOREWARN_DATA", "")
    if data:
        return cmapss_folder(Path(data))
    if "data" in os.environ.get("FOREWARN_REQUIRE", ""):
        pytest.fail("FOREWARN_REQUIRE names data, but FOREWARN_DATA is not set")
    pytest.skip("FOREWARN_DATA is not set: it names the folder that holds cmapss/")
