"""What the trainer's tests share: the recorded engines, and a fleet of small made-up ones."""

import os
from pathlib import Path

import pytest

from tests.conftest import require
from trainer.data.cmapss import cmapss_folder


@pytest.fixture
def cmapss() -> Path:
    """The C-MAPSS folder of $FOREWARN_DATA; absent data is a failure where FOREWARN_REQUIRE names `data`."""
    data = os.environ.get("FOREWARN_DATA", "")
    require("data", bool(data), "FOREWARN_DATA is not set: it names the folder that holds cmapss/")
    return cmapss_folder(Path(data))
