"""The short part of `python -m tests.faults.bit_flips`: a bit flips anywhere in what a killed agent has left (B4)."""

import pytest

from agent.store.durability import DURABILITIES
from tests.faults import bit_flips
from tests.faults.bit_flips import Flips

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", DURABILITIES)
def test_whatever_bit_flips_no_wrong_number_is_ok_and_no_alert_is_raised_for_it(mode):
    flips = Flips(mode, seed=1)
    flips.run(9)
    assert flips.said == []
    assert flips.counts.total() == 9


def test_the_campaign_finds_a_state_that_is_wrong_and_used(monkeypatch):
    """A checksum that is not looked at: else the campaign could not fail."""
    monkeypatch.setattr("agent.store.file.sha256", lambda content=b"": AlwaysTheSame())
    flips = Flips("snapshot", seed=0)
    while not flips.said and flips.counts.total() < 320:  # few bits matter to these devices
        flips.run(16)
    assert any("nobody noticed" in line for line in flips.said), bit_flips.NEWEST


class AlwaysTheSame:
    """A digest of anything."""

    digest_size = 32

    def update(self, data):
        pass

    def digest(self):
        return b"x" * 32
