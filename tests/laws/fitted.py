"""A bundle that `forewarn-train fit` made of a folder that `forewarn record` wrote, with both heads, and the traffic
that was recorded.

Nine machines of irregular cadence: rows come about each 10 s, some not at all, from two of the machines none for an
hour, once within what the head `anomaly` learns from and once after it. Error codes come on a topic of their own. Each
machine wears out and fails.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import structlog
from click.testing import CliRunner

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.bundle.heads import judged_heads
from agent.config.plan import Plan, plan
from agent.config.settings import Settings
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.core.model import Model, load_engine
from agent.record.recorder import Recorder
from agent.record.session import recorded_sources
from agent.replay.recorded import Recorded, read_recorded
from agent.step.engine import Engine
from agent.words import AlertHead, Taken
from trainer.cli import cli
from trainer.config_file import read_config
from trainer.data.dataset import histories_of
from trainer.data.history import History
from trainer.evaluation.playback import NEVER, play

START_NS = 1_700_000_000 * 10**9
N_MACHINES, N_ROWS = 9, 240
HOUR_AFTER = {"m3": 12, "m4": 130}
"""The row of a machine after which it is silent for an hour."""
QUICK = ("model.hidden=8", "train.epochs=1", "train.batch=4", "anomaly.hidden=8", "anomaly.steps=20", "anomaly.batch=4")
CHARTS = """anomaly.charts=[
    { residual = "event", ahead = 24, rate = 0.1 },
    { residual = "forecast", ahead = 16, rate = 0.05 },
    { residual = "smoothing", rate = 1.0, mix = "mean" },
]"""

Sent = tuple[int, str, bytes]
"""When, topic and payload."""


def machine(number: int) -> list[Sent]:
    """All that a machine sends, in the order of time."""
    rng = np.random.default_rng(number)
    step_s = 10 + np.clip(rng.normal(size=N_ROWS), -3, 3) + 10 * (rng.random(N_ROWS) < 0.05)
    step_s[HOUR_AFTER.get(f"m{number}", N_ROWS) :][:1] += 3600
    t_ns = START_NS + number * 10**8 + np.round(1e9 * np.cumsum(step_s)).astype(np.int64)
    row = np.arange(N_ROWS)
    wear = np.maximum(0, row / N_ROWS - 0.7) * 20
    flow = np.sin(2 * np.pi * row / 20) + rng.normal() + 0.2 * rng.normal(size=N_ROWS)
    speed = rng.normal() + 0.2 * rng.normal(size=N_ROWS) + wear
    sent = [
        (t, f"plant/m{number}/row", json.dumps({"t": t, "flow": one, "speed": other}).encode())
        for t, one, other in zip(t_ns.tolist(), flow.tolist(), speed.tolist(), strict=True)
    ]
    fails = rng.random(N_ROWS) < np.where(wear > 0, 0.2, 0.02)
    for t in t_ns[fails].tolist():
        before = t - int(rng.integers(1, 5 * 10**9))
        sent.append((before, f"plant/m{number}/code", json.dumps({"t": before, "errorID": "e3"}).encode()))
    return sorted(sent)


def settings_of(bundle: Path | None) -> Settings:
    """Telemetry, and error codes that join it."""
    time = {"field": "t", "unit": "ns"}
    codes = {"error3": {"field": "errorID", "event": "e3"}}
    press = {
        "name": "press",
        "topic": "plant/{device}/row",
        "time": time,
        "channels": {"flow": "flow", "speed": "speed"},
    }
    joined = {"name": "codes", "topic": "plant/{device}/code", "time": time, "joins": "press", "channels": codes}
    model = [] if bundle is None else [{"bundle": bundle}]
    return Settings.model_validate({"model": model, "source": [press, joined]})


def take(core: Core, sent: list[Sent]) -> Taken:
    return core.apply(Messages([one[1] for one in sent], [one[2] for one in sent], [one[0] for one in sent]))


def record(sent: list[Sent], folder: Path) -> None:
    """As `forewarn record` does, in a few files."""
    planned = plan(settings_of(None), {}, reads_all=True)
    core = Core(planned.sources, (), Bounds(), keeps_rows=True)
    recorder = Recorder(recorded_sources(planned), folder, structlog.get_logger(), flush_every_s=10, size_max=2**40)
    for start in range(0, len(sent), 700):
        recorder.hear(take(core, sent[start : start + 700]), {"press": "press", "codes": "press"})
        recorder.flush(start)
    recorder.close()
    assert recorder.left_out == {}
    assert dict(core.counts) == {}


@dataclass(frozen=True)
class Fitted:
    """The folder of the recording, what `fit` wrote, and all that was sent."""

    recording: Path
    out: Path
    sent: list[Sent]

    @cached_property
    def bundle(self) -> Bundle:
        (path,) = self.out.glob("*.fwb")
        return file.read(path)

    @cached_property
    def histories(self) -> list[History]:
        """The lives as `fit` read them."""
        return list(histories_of(read_config(self.out / "fit.toml"), self.out))

    @cached_property
    def recorded(self) -> tuple[Recorded, ...]:
        """The rows as `forewarn replay` reads them."""
        return read_recorded([str(self.recording / "press" / "*.parquet")], self.bundle.manifest).devices

    @cached_property
    def thresholds(self) -> dict[AlertHead, float]:
        """Of either head, which a tenth of all rows are over: those of worn machines."""
        played, found = play(self.bundle, self.bundle.model, self.histories, NEVER), {}
        for name, judged in judged_heads(self.bundle.manifest).items():
            policy = self.bundle.manifest.judging[name].policy
            found[name] = float(np.quantile([judged.value(one.outputs[name], policy) for one in played], 0.9))
        return found

    @cached_property
    def engine(self) -> Engine:
        """Its golden rows were stepped again, as an agent does it."""
        return load_engine(self.bundle)

    @cached_property
    def planned(self) -> Plan:
        return plan(settings_of(self.bundle.path), {"main": self.bundle})

    def core(self, bounds: Bounds | None = None) -> Core:
        """A core of one model with both heads."""
        (reads,) = self.planned.models
        model = Model("main", self.bundle, self.engine, self.thresholds, reads.sources, reads.channels)
        return Core(self.planned.sources, (model,), bounds or Bounds(), keeps_rows=True)


def fitted(folder: Path) -> Fitted:
    """Record, and fit what was recorded."""
    sent = sorted(one for number in range(N_MACHINES) for one in machine(number))
    recording, out = folder / "recording", folder / "out"
    record(sent, recording)
    last_ns = {f"m{number}": machine(number)[-1][0] for number in range(N_MACHINES)}
    lines = [f"{name},{(t_ns + 5 * 10**9) / 1e9}" for name, t_ns in last_ns.items()]
    (recording / "failures.csv").write_text("\n".join(["device,t_fail", *lines]) + "\n")
    changes = [part for change in (*QUICK, CHARTS) for part in ("--set", change)]
    done = CliRunner().invoke(cli, ["fit", str(recording), "--out", str(out), *changes])
    assert done.exception is None, (done.exception, done.output)
    (out / "fit.txt").write_text(done.output)
    return Fitted(recording, out, sent)
