"""The small bundle and the configuration of a simulated agent. What costs time is made once for all histories."""

import tempfile
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from unittest import mock

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from agent.bundle import file as bundle_file
from agent.bundle.file import Bundle
from agent.bundle.manifest import Cadence
from agent.config.load import load
from agent.config.plan import Plan, build, plan
from agent.config.settings import Settings
from agent.core import Core
from agent.step.engine import Engine
from agent.values.durations import parse_duration
from agent.words import ALERT_ACTIONS
from tests.bundles import small_golden
from tests.simulation.plan import SPACING_S
from tests.small_bundle import small_manifest, small_model

NODE = "sim"
CLIENT_ID = f"forewarn-{NODE}"
PAYLOAD_BYTES_MAX = 2048
KEEPS = 0.5  # of a mean, from row to row: after WARMUP_ROWS a state has forgotten how it began to 0.4 %
WARMUP_ROWS = 8
ALERTS: dict[str, dict[str, object]] = {  # by name, what a plant may want of its alerts
    "plain": {},
    "flood": {"flood_raises": 2, "flood_window": timedelta(seconds=2)},
    "acknowledge": {"acknowledge": "required"},
    "latch": {"latch": True},
    "chatter": {"chatter_raises": 2, "chatter_window": timedelta(seconds=3)},
}
_TEXT = """
[agent]
node = "{node}"
state_dir = "{folder}/state"
payload_bytes_max = "{payload_bytes_max}B"
status_every = "1h"
tick_every = "200ms"
durability = "journal"
[broker]
host = "simulated"
keepalive = "10s"
[[model]]
bundle = "{folder}/small.fwb"
budget = "1 per device per 30d"
[commands]
interventions = true
alerts = {actions}
[[source]]
name = "press"
topic = "plant/{{device}}/press"
time = {{ field = "t", unit = "s" }}
qos = 1
{silence}
[[source]]
name = "pump"
topic = "plant/{{device}}/pump"
qos = 1
"""


@cache
def bundle() -> Bundle:
    """The small model with a shorter memory, and times in seconds."""
    model = onnx.load_model_from_string(small_model())
    for tensor in model.graph.initializer:
        if tensor.name in ("keep", "take"):
            of = KEEPS if tensor.name == "keep" else 1 - KEEPS
            tensor.CopyFrom(numpy_helper.from_array(np.float32(of), tensor.name))
    manifest = msgspec.structs.replace(
        small_manifest(),
        time_unit="s",
        cadence=Cadence(every_s=SPACING_S, dt_max_s=20 * SPACING_S, least_s=0.0),
        warmup_rows=WARMUP_ROWS,
        judge=msgspec.structs.replace(small_manifest().judge, clear_after_s=3 * SPACING_S),
    )
    data = bytes(model.SerializeToString())
    members = {
        "model.onnx": data,
        "model.fp32.onnx": data,
        "golden.npz": small_golden(data, manifest).pack(),
        "report.json": b"{}",
        "MODEL_CARD.md": b"# small\n",
    }
    path = folder() / "small.fwb"
    bundle_file.write(path, manifest, members)
    return bundle_file.read(path)


@cache
def engine() -> Engine:
    return Engine(bundle().model, bundle().manifest)


@cache
def folder() -> Path:
    """Of this process; in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    made = tempfile.TemporaryDirectory(prefix="forewarn-simulation-", dir=memory if memory.is_dir() else None)
    _KEPT.append(made)
    return Path(made.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []  # removed with the process


def configured(agent: Mapping[str, str], world: Mapping[str, object]) -> tuple[Settings, Plan]:
    """Settings and plan of an agent with these settings of the table [agent], in a world."""
    settings, planned = _of_sources(str(world["silent_after"]), str(world["device_silent_after"]))
    expiry = parse_duration(world["session_expiry"])
    broker = settings.broker.model_copy(update={"protocol": world["protocol"], "session_expiry": expiry})
    changes = {key: _value(text) for key, text in agent.items()}
    alerts = settings.alerts.model_copy(update=ALERTS[str(world.get("alerts", "plain"))])
    tables = {"agent": settings.agent.model_copy(update=changes), "broker": broker, "alerts": alerts}
    return settings.model_copy(update=tables), planned


def _value(text: str) -> object:
    if text.isdigit():
        return int(text)
    return parse_duration(text) if text[0].isdigit() else text


@cache
def _of_sources(silent_after: str, device_silent_after: str) -> tuple[Settings, Plan]:
    """Read with all its checks, which takes some time."""
    path = folder() / "forewarn.toml"
    bundle()
    silence = f'silent_after = "{silent_after}"\ndevice_silent_after = "{device_silent_after}"'
    path.write_text(
        _TEXT.format(
            node=NODE, folder=folder(), payload_bytes_max=PAYLOAD_BYTES_MAX, silence=silence, actions=[*ALERT_ACTIONS]
        )
    )
    settings = load(path, {})
    return settings, plan(settings, {"main": bundle()})


def core(settings: Settings, planned: Plan) -> Core:
    """The core that an agent with these settings has."""
    with mock.patch("agent.config.plan.load_engine", return_value=engine()):
        return build(settings, planned)
