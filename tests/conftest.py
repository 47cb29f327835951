"""What every test may need: a reason to be left out, and when that is a failure instead."""

import os

import pytest


def require(name: str, available: bool, reason: str) -> None:
    """Leave the test out with `reason` unless `available`; fail where $FOREWARN_REQUIRE, a comma list, has `name`."""
    if available:
        return
    wanted = [one.strip() for one in os.environ.get("FOREWARN_REQUIRE", "").split(",")]
    if name in wanted:
        pytest.fail(f"FOREWARN_REQUIRE names {name}: {reason}")
    pytest.skip(reason)
