"""The layers of docs/ARCHITECTURE.md, read from the import statements of every file, those inside functions too.

Imports go down `LAYERS` only. The core and what is below it ask for no time, draw no random number, open no file or
socket and write no log. A gateway needs neither torch nor onnx nor a plotting library.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = [
    {"cli"},
    {
        "list_alerts",
        "list_hides",
        "label_alerts",
        "handle_alerts",
        "list_interventions",
        "intervene",
        "run",
        "status",
        "record",
        "sample",
        "command",
        "doctor",
        "state",
        "replay",
    },
    {"receive", "store", "publish"},
    {"people_log"},
    {"mqtt", "log", "signals", "service_manager", "stall", "table"},
    {"config"},
    {"score"},
    {"core"},
    {"decode", "align", "step", "judge", "bundle"},
    {"values"},
    {"devices"},
    {"drops"},
    {"sources"},
    {"words"},
    {"reasons", "errors", "near", "readable", "whole_file"},
]
SIDEWAYS = {
    ("publish", "store.cursor"),
    ("align", "bundle.manifest"),
    ("step", "bundle.manifest"),
    ("step", "bundle.heads"),
    ("judge", "bundle.manifest"),
    ("replay", "run"),
    ("run", "status"),
}
TRAINER_READS = {
    "bundle",
    "core",
    "replay",
    "config",
    "errors",
    "near",
    "score",
    "table",
    "values",
    "sources",
    "whole_file",
    "words",
}
TRAINER_READS_TOO = {
    "judge.evidence",
    "judge.threshold",
    "step.engine",
    "step.stops",
}  # one judge, one budget, one engine

RUNTIME = {
    "cbor2",
    "click",
    "google",
    "msgspec",
    "numpy",
    "onnxruntime",
    "paho",
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "structlog",
}
IN_ONE_FILE = {
    "amqtt": "agent/replay/broker/embedded.py",
    "google": "agent/decode/sparkplug_payload.py",
    "matplotlib": "agent/replay/report/plot.py",
    "onnxruntime": "agent/step/engine.py",
    "polars": "agent/table/parquet_file.py",
    "zstandard": "agent/decode/expand.py",
}
TO_COMPARE = {"lightgbm", "river", "scipy", "sklearn", "statsmodels"}
"""What only the methods beside a bundle need; `fit` and `evaluate` run without it."""
NEEDS_EXTRAS = {
    "agent.table.parquet_file",
    "agent.record.source_folder",
    "agent.record.recorder",
    "agent.record.session",
    "agent.replay.report.plot",
    "agent.replay.report.html",
    "agent.replay.broker.embedded",
}
PURE = {box for layer in LAYERS[LAYERS.index({"core"}) :] for box in layer}
IMPURE_MODULES = {
    "socket", "ssl", "select", "sqlite3", "threading", "multiprocessing", "asyncio", "concurrent", "queue", "signal",
    "logging", "structlog", "random", "secrets", "uuid", "time", "subprocess", "tempfile", "shutil", "io", "os", "paho",
}  # fmt: skip
IMPURE_CALLS = {"now", "utcnow", "today", "open", "read_bytes", "read_text", "write_bytes", "write_text", "default_rng"}
WAITS = {
    "agent/sample/listen.py",
    "agent/sample/command.py",
}  # all else of the sample is pure, though it knows settings
TOUCHES_FILES = {"agent/bundle/file.py", "agent/whole_file.py"}  # and of these layers only they use whole_file


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported anywhere in a file; `from a import b` is a.b where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (
                f"{module}.{alias.name}" if is_module(f"{module}.{alias.name}") else module for alias in node.names
            )


def is_pure(path: str) -> bool:
    """Whether a file of `agent` does no I/O and asks for no time."""
    box = path.removesuffix(".py").split("/")[1]
    return (box in PURE and path not in TOUCHES_FILES) or (box == "sample" and path not in WAITS)


def layer_of(box: str) -> int:
    return next((number for number, boxes in enumerate(LAYERS) if box in boxes), -1)


def faults(path: str, source: str) -> Iterator[str]:
    """What is wrong with the imports of the file at `path`, relative to the root."""
    tree = ast.parse(source)
    package, *inside = path.removesuffix(".py").split("/")
    box = inside[0]
    for name in imported(tree):
        top, *below = name.split(".")
        if top == "" or name == "importlib":
            yield f"{name!r}: imports are absolute and in the open"
        elif top == "agent" and package == "agent":
            yield from _agent_faults(box, below)
        elif top == "agent":
            if below[0] not in TRAINER_READS and ".".join(below[:2]) not in TRAINER_READS_TOO:
                yield f"trainer reads {name}, which is the daemon's own"
        elif package == "agent" and top not in sys.stdlib_module_names | RUNTIME | IN_ONE_FILE.keys():
            yield f"agent imports {name}, which a gateway does not have"
        if top in TO_COMPARE and inside[0] != "baselines":
            yield f"{name} is for trainer/baselines alone"
        if package == "agent" and IN_ONE_FILE.get(top, path) != path:
            yield f"{name} is for {IN_ONE_FILE[top]} alone"
        if package == "agent" and is_pure(path) and top in IMPURE_MODULES:
            yield f"{box} imports {name}: no I/O, clock, thread, log or randomness here"
        if package == "agent" and is_pure(path) and name == "agent.whole_file":
            yield f"{box} imports {name}: no file is written here"
    if package == "agent" and is_pure(path):
        yield from _call_faults(tree)


def _agent_faults(box: str, below: list[str]) -> Iterator[str]:
    """An import of agent.`below` by the box `box`."""
    if not below:
        yield "import a part of agent, not the whole"
        return
    to = below[0]
    if -1 in (layer_of(box), layer_of(to)):
        yield f"{box} -> {to}: a box that LAYERS does not have"
    elif box != to and layer_of(to) <= layer_of(box) and not {(box, to), (box, ".".join(below[:2]))} & SIDEWAYS:
        yield f"{box} -> {'.'.join(below)}: imports go down only"


def _call_faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in IMPURE_CALLS or called == "__import__":
                yield f"line {node.lineno} calls {called}: no I/O, clock or randomness here"


FILES = sorted(str(path.relative_to(ROOT)) for part in ("agent", "trainer") for path in (ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("path", FILES)
def test_imports_go_down_only(path):
    assert list(faults(path, (ROOT / path).read_text())) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("agent/core/core.py", "from agent.config.settings import Settings"),
        ("agent/core/core.py", "import agent.run"),
        ("agent/core/core.py", "from agent import cli"),
        ("agent/decode/topic.py", "def f():\n    from agent.step.engine import Engine"),
        ("agent/judge/evidence.py", "from agent.bundle.file import Bundle"),
        ("agent/bundle/file.py", "from agent.bundle.manifest import Manifest\nfrom agent.judge import threshold"),
        ("agent/words.py", "from agent.core import Core"),
        ("agent/store/snapshot.py", "from agent.publish.status import status"),
        ("agent/config/load.py", "from agent.store.file import write"),
        ("agent/plugins/x.py", "from agent.words import Quality"),
        ("agent/align/spacing.py", "from . import words"),
        ("agent/align/spacing.py", "import importlib"),
        ("agent/align/spacing.py", "module = __import__('time')"),
        ("agent/replay/inline.py", "import torch"),
        ("agent/replay/inline.py", "def f():\n    import onnx"),
        ("agent/replay/inline.py", "from trainer.data import history"),
        ("agent/replay/inline.py", "import polars"),
        ("agent/replay/inline.py", "import matplotlib.pyplot"),
        ("agent/run.py", "import onnxruntime"),
        ("agent/core/core.py", "import time"),
        ("agent/core/core.py", "from agent import whole_file"),
        ("agent/core/core.py", "import datetime\nnow = datetime.datetime.now()"),
        ("agent/core/core.py", "import numpy as np\nrng = np.random.default_rng()"),
        ("agent/devices/slots.py", "if True:\n    from threading import Lock"),
        ("agent/bundle/golden.py", "open('x')"),
        ("agent/bundle/golden.py", "from pathlib import Path\nPath('x').read_bytes()"),
        ("agent/words.py", "import logging"),
        ("agent/sample/guess.py", "import time"),
        ("agent/sample/guess.py", "import paho.mqtt.client"),
        ("trainer/fit.py", "from agent.store.cursor import Cursor"),
        ("trainer/fit.py", "from agent.decode.topic import Pattern"),
        ("trainer/fit.py", "from scipy.signal import lfilter"),
    ],
)
def test_a_wrong_import_is_found(path, source):
    assert len(list(faults(path, source))) == 1


def test_what_is_allowed_is_not_found():
    for path, source in (
        (
            "agent/judge/evidence.py",
            "from agent.bundle.manifest import Manifest\nfrom agent.devices.columns import Columns",
        ),
        ("agent/publish/mqtt.py", "import time\nimport paho.mqtt.client\nfrom agent.store.cursor import Cursor"),
        ("agent/bundle/file.py", "import os\nopen('x')"),
        ("agent/decode/json.py", "from datetime import UTC, datetime"),
        ("agent/sample/listen.py", "import time\nimport paho.mqtt.client"),
        ("trainer/fit.py", "import torch\nfrom agent.step.engine import Engine\nfrom agent.replay.inline import play"),
    ):
        assert list(faults(path, source)) == []


@pytest.mark.parametrize("path", sorted((ROOT / "bench").glob("*.py")), ids=lambda path: path.stem)
def test_a_bench_imports_no_test(path):
    """Tests may import a bench, so that what is measured is tested."""
    assert "tests" not in {name.partition(".")[0] for name in imported(ast.parse(path.read_text()))}


@pytest.mark.slow
def test_a_gateways_install_imports_everything_but_what_extras_are_for():
    """With the packages of the extras hidden, in a fresh interpreter."""
    modules = [path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in FILES]
    wanted = [name for name in modules if name.startswith("agent") and name not in NEEDS_EXTRAS]
    hidden = ["torch", "onnx", "amqtt", "matplotlib", "polars", "tqdm", "zstandard", "trainer"]
    code = f"import sys, importlib\nsys.modules.update(dict.fromkeys({hidden!r}))\n"
    code += f"for name in {wanted!r}:\n    importlib.import_module(name)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_daemon_does_not_load_what_only_a_replay_needs():
    """A gateway's start and memory; the command is listed all the same."""
    code = "import sys, agent.cli\nwanted = ('agent.replay', 'agent.record')\n"
    code += "print([name for name in sys.modules if name.startswith(wanted)])\n"
    code += "sys.argv[1:] = ['--help']\nagent.cli.main()\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[]\n")
    assert "replay" in done.stdout
    assert "record" in done.stdout
