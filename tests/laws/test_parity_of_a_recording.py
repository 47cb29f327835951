"""Law 1 holds over a recording: `forewarn record` writes the rows that models are given live, and `forewarn replay` of
its files gives the scores that they gave live. Equal to the bit.
"""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import structlog

from agent.bundle import file
from agent.bundle.manifest import Cadence
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.record.recorder import Recorded, Recorder
from agent.replay.inline import play_inline
from agent.replay.messages import source_for, stream
from agent.replay.recorded import read_recorded
from agent.sources import AlignRule, Source
from tests.bundles import write_small_bundle
from tests.small_bundle import CHANNELS, small_manifest
from tests.streams import SOURCE, Message, interleaved, life, model

THRESHOLD = 0.5
MIDNIGHT_S = 1_704_153_600  # 2024-01-02
SECONDS = msgspec.structs.replace(
    small_manifest(), time_unit="s", cadence=Cadence(every_s=1.0, dt_max_s=20.0, least_s=0.5)
)
OF_SECONDS = replace(SOURCE, time_field="t", time_unit="s")
GRID = replace(OF_SECONDS, align=AlignRule(every_s=1.0, max_age_s=3.0, quorum=0.6, lateness_s=2.0))


def per_message() -> list[Message]:
    """Rows with a value missing now and then, and two that come late."""
    rows = interleaved(life("p1", 60), life("p2", 50, seed=2), life("line-9", 20, seed=3))
    for index in range(0, len(rows), 7):
        topic, payload = rows[index]
        rows[index] = topic, json.dumps(json.loads(payload) | {"load": None}).encode()
    return [*rows[:40], *rows[30:32], *rows[40:]]


def in_seconds() -> list[Message]:
    """The same over midnight, with nanoseconds that a double cannot hold."""

    def at(payload: bytes) -> bytes:
        values = json.loads(payload)
        t_ns = (MIDNIGHT_S - 25 + values.pop("cycle")) * 10**9 + 123_456_789
        return f'{{"t": {t_ns}, {json.dumps(values)[1:]}'.encode()

    return [(topic, at(payload)) for topic, payload in per_message()]


def a_channel_at_a_time() -> list[Message]:
    """Each value by itself, at a time of its own and in no order; some never come."""
    rng = np.random.default_rng(0)
    found = []
    for topic, payload in in_seconds():
        values = json.loads(payload)
        t_ns = values.pop("t")
        found += [
            (t_ns, topic, {"t": t_ns + int(rng.integers(0, 10**9)), name: value})
            for name, value in values.items()
            if rng.random() < 0.95
        ]
    found.sort(key=lambda one: one[0] + int(rng.integers(0, 10**9)))
    return [(topic, json.dumps(values).encode()) for _, topic, values in found]


CASES = {
    "cycles": (SOURCE, small_manifest(), per_message),
    "seconds": (replace(OF_SECONDS, time_unit="ns"), SECONDS, in_seconds),
    "grid": (replace(GRID, time_unit="ns"), SECONDS, a_channel_at_a_time),
}


def take_all(core: Core, messages: list[Message], *, size: int):
    """What the core gives, call by call."""
    for start in range(0, len(messages), size):
        part = messages[start : start + size]
        arrived = [(MIDNIGHT_S + 60) * 10**9 + 10**6 * index for index in range(start, start + len(part))]
        yield core.apply(Messages([topic for topic, _ in part], [payload for _, payload in part], arrived))


def recording(source: Source, messages: list[Message], folder: Path, *, size: int) -> None:
    """In a few files of several runs, as a recorder leaves them that is stopped now and then."""
    core = Core((source,), (), Bounds(), keeps_rows=True)
    of = Recorded(0, "press", CHANNELS, source.time_unit == "cycle")
    recorder = None
    for number, taken in enumerate(take_all(core, messages, size=size)):
        if number % 5 == 0:
            if recorder is not None:
                recorder.close()
            recorder = Recorder([of], folder, structlog.get_logger(), flush_every_s=10, size_max=2**40)
        recorder.hear(taken, {"press": "press"})
        recorder.flush(number)
    recorder.close()
    assert recorder.left_out == {}


def rows_of(parts) -> dict[str, list[tuple[int, bytes]]]:
    found: dict[str, list[tuple[int, bytes]]] = {}
    for rows in parts:
        for device, t_ns, x in zip(rows.device.tolist(), rows.t_ns.tolist(), rows.x, strict=True):
            found.setdefault(device, []).append((t_ns, x.tobytes()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_what_is_recorded_is_what_models_are_given_and_replays_to_the_same_scores(case, tmp_path):
    source, manifest, make = CASES[case]
    messages = make()
    live = Core((source,), (model(source, manifest=manifest),), Bounds(), keeps_rows=True)
    takens = list(take_all(live, messages, size=50))
    given = rows_of(rows for taken in takens for rows in taken.rows)
    assert {len(rows) > 10 for rows in given.values()} == {True}

    recording(source, messages, tmp_path / "recording", size=17)
    recordings = read_recorded([str(tmp_path / "recording" / "*" / "*.parquet")], manifest)
    assert recordings.doubts == ()
    recorded = {
        one.device: [(t, x.tobytes()) for t, x in zip(one.t_ns.tolist(), one.x, strict=True)]
        for one in recordings.devices
    }
    assert recorded == given

    bundle = file.read(write_small_bundle(tmp_path / "small.fwb", manifest))
    rows = stream(recordings.devices, source_for(manifest, "rig/{device}/row"))
    played = {one.device: one for one in play_inline(bundle, bundle.model, rows, THRESHOLD)}
    scores = [taken.scores[0] for taken in takens]
    for device, one in played.items():
        mine = [part.device == device for part in scores]

        def live_column(values, mine=mine) -> bytes:
            return np.concatenate([column[at] for column, at in zip(values, mine, strict=True)]).tobytes()

        assert live_column(part.t_ns for part in scores) == one.t_ns.tobytes()
        assert live_column(part.quality for part in scores) == one.quality.tobytes()
        assert live_column(part.outputs["risk"] for part in scores) == one.risk.tobytes()
        assert live_column(part.outputs["rul"] for part in scores) == one.rul.tobytes()
        live_events = [event for taken in takens for event in taken.alerts if event.device == device]
        assert [(event.kind, event.t_ns, event.outputs) for event in live_events] == [
            (event.kind, event.t_ns, event.outputs) for event in one.events
        ]
    assert sum(len(one.events) for one in played.values()) >= 1
