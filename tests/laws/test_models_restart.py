"""Several models over restarts, over a configuration that changes, and on payloads of several kinds (laws 1 to 3)."""

import json
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replace_struct

from agent.bundle.manifest import Cadence
from agent.core import Bounds, Core
from agent.core.entries import AlertsKept, HistoryLost, StateBehind
from agent.core.model import Model
from agent.sources import plain_channels
from tests.small_bundle import CHANNELS, small_manifest
from tests.streams import SOURCE, CoreBundle, core, engine_of, life, model, take

SLOW = replace_struct(small_manifest(), cadence=Cadence(every_s=5.0, dt_max_s=100.0))


def restarted(first, models, events, sources=(SOURCE,), clean=True):
    after = Core(sources, models, Bounds())
    after.restore(first.snapshot())
    if not clean:
        after.apply(StateBehind())
    last = {event.key: event for event in events}
    standing = [event for event in last.values() if event.state != "normal"]
    newest = {}
    for event in last.values():
        key, mark = (event.source, event.device), (max(event.t_epoch, event.clock_epoch), event.t_ns)
        newest[key] = max(mark, newest.get(key, mark))
    ended = after.apply(AlertsKept(standing, newest)).alerts
    after.apply(HistoryLost())
    return after, ended


@pytest.mark.slow
@pytest.mark.parametrize("cut", [47, 48, 49, 50, 51, 52])
def test_a_clean_restart_does_not_move_the_pace_of_a_slow_model(cut):
    """Nothing was lost: the slow model steps the rows that it steps in one life."""
    models = (model(SOURCE), model(SOURCE, name="slow", manifest=SLOW))
    messages = life("p1", 100)
    straight, first = (Core((SOURCE,), models, Bounds()) for _ in range(2))
    want = take(straight, messages)
    before = take(first, messages[:cut])
    assert before.alerts, "an alert of some model is in the table"
    second, _ = restarted(first, models, before.alerts)
    after = take(second, messages[cut:], arrived_ns=10**12)
    got = [*before.scores[1].t_ns.tolist(), *after.scores[1].t_ns.tolist()]
    assert [t // 10**9 for t in got] == [t // 10**9 for t in want.scores[1].t_ns.tolist()]


def test_an_alert_of_a_model_that_no_longer_reads_the_source_ends():
    """The model goes on with another source; nothing can ever clear what it said of this one."""
    bench = replace(SOURCE, name="bench", topics=("bench/{device}",))
    sources = (SOURCE, bench)
    models = (model(*sources), model(*sources, name="other", threshold=0.99999))
    first = Core(sources, models, Bounds())
    raised = take(first, life("p1", 60)).alerts
    now = (model(*sources, reads=[1]), model(*sources, name="other", threshold=0.99999))
    second, ended = restarted(first, now, raised, sources)
    after = take(second, life("p1", 300, start=61, wear_from=100000), arrived_ns=10**12).alerts
    assert [event.kind for event in (*ended, *after) if event.model == "main"] == ["cleared"]
    assert second.view().n_standing() == 0


def test_a_row_without_any_channel_of_a_model_is_none_for_it():
    """One topic, two kinds of payload in turn; each model has the channels of one of them."""
    source = replace(SOURCE, channels=plain_channels("a_temp", "a_load", "a_wear", "b_temp", "b_load", "b_wear"))
    manifest = small_manifest()

    def of(name, prefix, src):
        channels = tuple(src.fields.index(f"{prefix}_{c}") for c in CHANNELS)
        return Model(name, CoreBundle(manifest, "d" * 64), engine_of(core()), {"risk": 0.5}, (0,), (channels,))

    def payloads():
        rng = np.random.default_rng(0)
        for cycle in range(1, 61):
            for prefix, t in (("a", cycle), ("b", cycle + 0.5)):
                values = {f"{prefix}_{c}": float(rng.normal(0, 0.05)) for c in CHANNELS}
                values[f"{prefix}_wear"] += max(0, cycle - 20) / 20
                yield "plant/p1/cycle", json.dumps({"cycle": t, **values}).encode()

    messages = list(payloads())
    both = take(Core((source,), (of("a", "a", source), of("b", "b", source)), Bounds()), messages)
    for index, prefix in enumerate("ab"):
        own = replace(source, channels=source.channels[3 * index : 3 * index + 3], report_extra=False)
        alone = take(Core((own,), (of(prefix, prefix, own),), Bounds()), messages)
        assert both.scores[index].t_ns.tolist() == alone.scores[0].t_ns.tolist()
        assert both.scores[index].outputs["risk"].tobytes() == alone.scores[0].outputs["risk"].tobytes()
