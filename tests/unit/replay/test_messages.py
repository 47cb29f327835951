"""What is played of a recording."""

import msgspec
import numpy as np

from agent.bundle.manifest import RunsWhile
from agent.replay.messages import source_for, stream, without_rows_too_soon
from agent.replay.recorded import Recorded
from agent.score.time_unit import nanoseconds
from agent.words import Quality
from tests.small_bundle import small_manifest
from tests.streams import core, take


def test_rows_that_an_agent_would_leave_out_are_not_played_and_counted():
    """Rows a tenth of a cadence apart: what is left is what the core steps, to the row."""
    t_s = 1 + np.arange(100) / 10
    recorded = Recorded("d1", nanoseconds(t_s), np.zeros((100, 3), np.float32))
    (kept,), n_left_out = without_rows_too_soon([recorded], small_manifest())
    assert n_left_out == 100 - len(kept.t_s)
    source = source_for(small_manifest(), "recorded/{device}/row")
    whole = stream([recorded], source)
    into = core(source)
    scores = take(into, list(zip(*whole.messages(0, 100), strict=True))).scores[0]
    assert (scores.t_ns / 1e9).tolist() == kept.t_s.tolist()
    assert into.counts["replay", "too_fast"] == n_left_out


def test_rows_a_cadence_apart_are_all_played():
    recorded = [Recorded("d1", np.arange(1, 50) * 10**9, np.zeros((49, 3), np.float32))]
    kept, n_left_out = without_rows_too_soon(recorded, small_manifest())
    assert n_left_out == 0
    assert kept[0].t_s.tolist() == recorded[0].t_s.tolist()


def test_rows_of_a_stop_are_played_and_make_no_other_come_too_soon():
    """Rows half a cadence apart, a stop between: as many are left out as the core calls too fast."""
    channel = msgspec.structs.replace(small_manifest().channels[0], name="running")
    manifest = msgspec.structs.replace(small_manifest(), runs=RunsWhile(channel, 0.5, 0.0))
    x = np.concatenate((np.zeros((60, 3)), np.ones((60, 1))), axis=1).astype(np.float32)
    x[20:31, 3] = 0
    recorded = Recorded("d1", nanoseconds(1 + np.arange(60) / 2), x)
    (kept,), n_left_out = without_rows_too_soon([recorded], manifest)
    source = source_for(manifest, "recorded/{device}/row")
    into, whole = core(source, manifest=manifest), stream([recorded], source)
    scores = take(into, list(zip(*whole.messages(0, 60), strict=True))).scores[0]
    assert (scores.t_ns / 1e9).tolist() == kept.t_s.tolist()
    assert into.counts["replay", "too_fast"] == n_left_out > 10
    assert np.count_nonzero(scores.quality == Quality.STOPPED) == 11
