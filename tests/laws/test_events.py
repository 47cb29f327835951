"""Law 1 for events: error codes of a log beside the rows of a table, and the same codes on a topic of their own, are
the same numbers in the rows that a model is trained on, that are recorded live and that are replayed."""

import numpy as np
import pytest
from msgspec.structs import replace

from agent.bundle import file
from agent.bundle.manifest import Cadence
from agent.config.plan import plan
from agent.config.settings import Settings
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.core.model import Model
from agent.replay.inline import play_inline
from agent.replay.messages import source_for, stream
from agent.replay.recorded import Recorded
from agent.step.engine import Engine
from tests.bundles import write_small_bundle
from tests.small_anomaly import anomaly_manifest
from trainer.data.table import Table
from trainer.data.table.read import read_table

ROWS = [(device, 3600 * hour, hour % 7 / 10) for device in ("p1", "p2") for hour in range(1, 60)]
"""Device, time and value: a row an hour."""


def codes() -> list[tuple[str, int, str]]:
    """Device, time and code: some within one hour, one code of no channel; none at the time of a row."""
    rng = np.random.default_rng(1)
    times = rng.choice(np.arange(3601, 3600 * 59), 80, replace=False)
    times = times[times % 3600 > 0]
    return [(f"p{1 + index % 2}", int(t), f"error{1 + index % 3}") for index, t in enumerate(times)]


@pytest.mark.slow
def test_a_table_with_a_log_and_two_topics_give_the_same_rows_and_scores(tmp_path):
    manifest = anomaly_manifest()
    counted = tuple(replace(one, event=one.name != "temp") for one in manifest.channels)
    cadence = Cadence(every_s=3600.0, dt_max_s=36_000.0, least_s=1.0)
    manifest = replace(manifest, channels=counted, time_unit="s", cadence=cadence)
    bundle = file.read(write_small_bundle(tmp_path / "events.fwb", manifest))

    write(tmp_path / "rows.csv", "device,t,temp", ROWS)
    write(tmp_path / "codes.csv", "device,t,code", codes())
    log = {"file": "codes.csv", "kind": "code", "kinds": {"load": ["error1"], "wear": ["error2"]}}
    channels = ["temp", "load", "wear"]
    table = Table.model_validate({"dataset": "table", "rows": "rows.csv", "channels": channels, "events": log})
    trained = {history.device: history for history in read_table(table, channels, tmp_path)}
    assert {name: history.x[:, 1:].sum() for name, history in trained.items()} == {
        device: sum(of == device and code != "error3" for of, _, code in codes()) for device in trained
    }, "each event is in a row"

    planned = plan(settings_of(bundle.path), {"main": bundle})
    (reads,) = planned.models
    model = Model("main", bundle, Engine(bundle.model, manifest), {"anomaly": 4.0}, reads.sources, reads.channels)
    live = Core(planned.sources, (model,), Bounds(), keeps_rows=True)
    messages = [(t, "temp", device, f'{{"t": {t}, "temp": {temp}}}') for device, t, temp in ROWS]
    messages += [(t, "error", device, f'{{"t": {t}, "errorID": "{code}"}}') for device, t, code in codes()]
    x, anomaly = {}, {}
    for t, topic, device, payload in sorted(messages):
        taken = live.apply(Messages([f"plant/{device}/{topic}"], [payload.encode()], [t * 10**9]))
        for rows in taken.rows:
            x.setdefault(device, []).append(rows.x)
        for scores in taken.scores:
            anomaly.setdefault(device, []).append(scores.outputs["anomaly"])
    for name, history in trained.items():
        assert np.concatenate(x[name]).tobytes() == history.x.tobytes()

    recorded = [Recorded(name, history.t_ns, history.x) for name, history in sorted(trained.items())]
    played = play_inline(bundle, bundle.model, stream(recorded, source_for(bundle.manifest, "r/{device}")), 4.0)
    for one in played:
        assert np.concatenate(anomaly[one.device]).tobytes() == one.outputs["anomaly"].tobytes()


def write(path, head, rows):
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")


def settings_of(bundle) -> Settings:
    """Telemetry, and a topic of error codes that joins it."""
    time = {"field": "t", "unit": "s"}
    words = {name: {"field": "errorID", "event": word} for name, word in (("load", "error1"), ("wear", "error2"))}
    return Settings.model_validate(
        {
            "model": [{"bundle": bundle}],
            "source": [
                {"name": "press", "topic": "plant/{device}/temp", "time": time, "channels": {"temp": "temp"}},
                {"name": "codes", "topic": "plant/{device}/error", "time": time, "joins": "press", "channels": words},
            ],
        }
    )
