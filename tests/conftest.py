"""What every test may need: a reason to be left out, and when that is a failure instead."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long is slow too."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)


def require(name: str, available: bool, reason: str) -> None:
    """Leave the test out with `reason` unless `available`; fail where $FOREWARN_REQUIRE, a comma list, has `name`."""
    if available:
        return
    wanted = [one.strip() for one in os.environ.get("FOREWARN_REQUIRE", "").split(",")]
    if name in wanted:
        pytest.fail(f"FOREWARN_REQUIRE names {name}: {reason}")
    pytest.skip(reason)
