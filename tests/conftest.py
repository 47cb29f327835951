"""What every test may need: a reason to be left out, and when that is a failure instead."""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """How `--dist loadgroup` deals the tests out: a file stays together, and brokers never stand beside each other."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
        parts = item.path.relative_to(TESTS).parts
        item.add_marker(pytest.mark.xdist_group("broker" if parts[0] in ("broker", "faults") else "/".join(parts)))


def require(name: str, available: bool, reason: str) -> None:
    """Leave the test out with `reason` unless `available`; fail where $FOREWARN_REQUIRE, a comma list, has `name`."""
    if available:
        return
    wanted = [one.strip() for one in os.environ.get("FOREWARN_REQUIRE", "").split(",")]
    if name in wanted:
        pytest.fail(f"FOREWARN_REQUIRE names {name}: {reason}")
    pytest.skip(reason)
