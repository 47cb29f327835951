"""A whole agent as a child process, with a configuration and a state directory of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.bundle.file import Bundle
from agent.config.broker_settings import Broker
from agent.config.settings import Model
from agent.errors import ForewarnError
from agent.sources import Source

STOP_TIMEOUT_S = 30.0
ROWS_MAX = 4096  # of one device at once, as many as a read brings: a replay leaves no row out


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """A running agent and where its log goes."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def check_alive(self) -> None:
        """Raise ForewarnError when it has ended."""
        code = self.process.poll()
        if code is not None:
            raise self.failure(f"ended by itself with exit code {code}")

    def stop(self) -> None:
        """Ask it to end and wait. Raises ForewarnError when it does not end cleanly."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise self.failure(f"does not end within {STOP_TIMEOUT_S:g} s of SIGTERM") from None
        if code != 0:
            raise self.failure(f"ended with exit code {code}")

    def end(self) -> None:
        """End it if it still runs, without a word when it does not end well."""
        with suppress(ForewarnError):
            if self.process.poll() is None:
                self.stop()

    def failure(self, what: str) -> ForewarnError:
        """An error that shows the end of the agent's log, which is gone afterwards."""
        last = self.log.read_text(errors="replace").splitlines()[-8:]
        return ForewarnError("the replay's agent", what, next_step="\n  ".join(["Its log ends:", *last]))


@contextmanager
def agent_process(
    bundle: Bundle, source: Source, model: Model, *, node: str, broker: Broker, folder: Path
) -> Iterator[AgentProcess]:
    """Run an agent with the bundle as `model` has it, which reads `source` and publishes every score; killed at exit if
    it still runs.
    """
    configuration = folder / "forewarn.toml"
    configuration.write_text(
        _toml(bundle, source, model, node=node, broker=broker, folder=folder),
        encoding="utf-8",
    )
    log = folder / "agent.log"
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(configuration)]
    own = {name: value for name, value in os.environ.items() if not name.startswith("FOREWARN_")}
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=own)
    try:
        yield AgentProcess(process, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _toml(bundle: Bundle, source: Source, model: Model, *, node: str, broker: Broker, folder: Path) -> str:
    names = [channel.name for channel in bundle.manifest.inputs]
    channels = "\n".join(f"{_quoted(name)} = {_quoted(of)}" for name, of in zip(names, source.fields, strict=True))
    return f"""\
[agent]
node = {_quoted(node)}
state_dir = {_quoted(str(folder / "state"))}
status_every = "100ms"
delay_max = "2ms"
rows_per_device_max = {ROWS_MAX}
[broker]
{_table(broker)}
[[model]]
bundle = {_quoted(str(bundle.path.resolve()))}
budget = {_quoted(model.budget)}
anomaly_budget = {_quoted(model.anomaly_budget)}
time_in_alarm_max = {model.time_in_alarm_max!r}
fleet_size = {model.fleet_size}
[publish]
scores = "all"
[[source]]
name = {_quoted(source.name)}
topic = {_quoted(source.topics[0])}
qos = 1
first_seen = {_quoted(source.first_seen)}
[source.time]
field = {_quoted(source.time_field)}
unit = {_quoted(source.time_unit)}
[source.channels]
{channels}
"""


def _table(broker: Broker) -> str:
    """The keys that say which broker and how to get in; JSON's numbers and booleans are TOML's, too."""
    names = {"host", "port", "username", "password_file", "tls", "ca_file", "protocol"}
    given = broker.model_dump(mode="json", include=names, exclude_none=True)
    return "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in given.items())


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's, as long as other characters stay as they are."""
    return json.dumps(text, ensure_ascii=False)
