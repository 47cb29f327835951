"""What the journal knows of the inputs is ready for the next file without long work."""

import pytest

from agent.core import recent
from agent.core.input_log import REDELIVERED_MAX, digest_of
from agent.store.kept_inputs import PREPARED, KeptInputs
from agent.store.records import Arrived

READ = 1000


def hear(kept: KeptInputs, broker: str, first: int, n: int) -> None:
    ids = [1 + number % REDELIVERED_MAX for number in range(first, first + n)]
    kept.apply(Arrived(["t"] * n, [b"x"] * n, [0] * n, (), broker, ids, 0))


@pytest.mark.slow
@pytest.mark.parametrize("n_a_turn", [0, PREPARED, 3 * PREPARED])
def test_digests_are_made_some_a_turn_and_in_the_end_are_never_behind_what_comes(monkeypatch, n_a_turn):
    """Of two brokers, whatever comes meanwhile."""
    made = []
    monkeypatch.setattr(recent, "digest_of", lambda *message: made.append(message) or digest_of(*message))
    kept = KeptInputs()
    for broker in ("", "other"):
        for first in range(0, REDELIVERED_MAX, READ):
            hear(kept, broker, first, min(READ, REDELIVERED_MAX - first))
    steps, is_ready = [], False
    while not is_ready:
        assert len(steps) < 100
        hear(kept, "", 0, n_a_turn)
        before = len(made)
        is_ready = kept.prepare()
        steps.append(len(made) - before)
    assert max(steps) < max(PREPARED, 2 * n_a_turn) + max(READ, n_a_turn), "and the rest of a read"
    before = len(made)
    kept.keep()
    assert len(made) - before <= PREPARED
