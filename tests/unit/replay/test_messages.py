"""What is played of a recording."""

import numpy as np

from agent.replay.messages import source_for, stream, without_rows_too_soon
from agent.replay.recorded import Recorded
from agent.score.time_unit import nanoseconds
from tests.small_bundle import small_manifest
from tests.streams import core, take


def test_rows_that_an_agent_would_leave_out_are_not_played_and_counted():
    """Rows a tenth of a cadence apart: what is left is what the core steps, to the row."""
    t_s = 1 + np.arange(100) / 10
    recorded = Recorded("d1", nanoseconds(t_s), np.zeros((100, 3), np.float32))
    (kept,), n_left_out = without_rows_too_soon([recorded], small_manifest().cadence)
    assert n_left_out == 100 - len(kept.t_s)
    source = source_for(small_manifest(), "recorded/{device}/row")
    whole = stream([recorded], source)
    into = core(source)
    scores = take(into, list(zip(*whole.messages(0, 100), strict=True))).scores[0]
    assert (scores.t_ns / 1e9).tolist() == kept.t_s.tolist()
    assert into.counts["replay", "too_fast"] == n_left_out


def test_rows_a_cadence_apart_are_all_played():
    recorded = [Recorded("d1", np.arange(1, 50) * 10**9, np.zeros((49, 3), np.float32))]
    kept, n_left_out = without_rows_too_soon(recorded, small_manifest().cadence)
    assert n_left_out == 0
    assert kept[0].t_s.tolist() == recorded[0].t_s.tolist()
