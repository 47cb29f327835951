"""docs/guide.md, followed: its configuration and commands, with the demo's bundle, a private mosquitto and an agent;
beside that agent the recording of docs/record.md.

`follow` gives what the commands print. It takes the guide's text from the page, so that a command that does not run
there is found here. Only the port differs, which the clients' own configuration names; the pumps are simulated anew.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.replay.broker.own_broker import find_mosquitto, free_port, mosquitto
from docs.figure_tables import fenced, packed
from docs.record import BUNDLE, write_played_pumps

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide.md"
TIMEOUT_S = 120
PORT = "1883"  # of the guide
MISTAKES = (("host =", "hots ="), ("thrust_bearing =", "thrust_baring ="), ('unit = "s"', 'unit = "cycle"'))


def why_not() -> str:
    """Why the guide cannot be followed here, "" when it can."""
    if find_mosquitto() is None:
        return "mosquitto is not installed"
    programs = ("mosquitto_sub", "mosquitto_pub", "stdbuf", "bash", "awk")
    missing = [name for name in programs if shutil.which(name) is None]
    return f"{', '.join(missing)} not installed" if missing else ""


def fences(kind: str) -> list[str]:
    """The text of the guide's blocks of one language."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def command(part: str) -> str:
    """The guide's one block of commands that holds `part`."""
    (found,) = [text for text in fences("sh") if part in text]
    return found


@dataclass(frozen=True, slots=True)
class Reader:
    """The folder of somebody who follows the guide, and the port of the broker there."""

    folder: Path
    port: int

    def shell(self, text: str) -> str:
        """What commands print to standard output and then to standard error."""
        run = subprocess.run(
            ["bash", "-uc", f'forewarn() {{ "{sys.executable}" -m agent.cli "$@"; }}\n{text}'],
            cwd=self.folder,
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return run.stdout + run.stderr

    @contextmanager
    def agent(self) -> Iterator[None]:
        arguments = command("forewarn run").split()[1:]
        environ = self._environ() | {"FOREWARN_BROKER__PORT": str(self.port)}
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "agent.cli", *arguments], cwd=self.folder, env=environ, stderr=log
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)

    @contextmanager
    def recording(self) -> Iterator[Callable[[], str]]:
        """Gives `stop()`, which ends `forewarn record` and returns what it prints."""
        command = [sys.executable, "-m", "agent.cli", "record", "--config", "forewarn.toml", "--out", "recording"]
        environ = self._environ() | {"FOREWARN_BROKER__PORT": str(self.port)}
        with subprocess.Popen(
            command, cwd=self.folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None

            def stop() -> str:
                process.terminate()
                return process.communicate(timeout=TIMEOUT_S)[0]

            try:
                next(line for line in process.stderr if '"pumps": "granted"' in line)
                yield stop
            finally:
                process.terminate()

    @contextmanager
    def listening(self) -> Iterator[Callable[[str, str], str]]:
        """Gives `wait(topic, part)`: the next payload of a topic that holds `part`, from the moment of listening on."""
        who = ["stdbuf", "-oL", "mosquitto_sub", "-d", "-v", "-t", "forewarn/#", "-W", str(TIMEOUT_S)]
        with subprocess.Popen(who, env=self._environ(), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = iter(process.stdout)

            def wait(topic: str, part: str) -> str:
                for line in lines:
                    if line.startswith(topic) and part in line:
                        return line.removeprefix(topic).strip()
                raise TimeoutError(f"{topic} never said {part!r}; see {self.folder / 'log'}")

            try:
                wait("Subscribed", "")
                yield wait
            finally:
                process.terminate()

    def _environ(self) -> dict[str, str]:
        return os.environ | {"XDG_CONFIG_HOME": str(self.folder), "PYTHONPATH": str(ROOT)}


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    """Somebody with the guide's files in an empty folder, and a broker."""
    (configuration,) = fences("toml")
    (folder / "forewarn.toml").write_text(configuration)
    for right, wrong in MISTAKES:
        assert right in configuration, right
        configuration = configuration.replace(right, wrong)
    (folder / "bad.toml").write_text(configuration)
    shutil.copy(BUNDLE, folder)
    write_played_pumps(folder)
    port = free_port()
    for client in ("mosquitto_sub", "mosquitto_pub"):
        (folder / client).write_text(f"-p {port}\n")
    (folder / "broker").mkdir()
    with mosquitto(folder / "broker", port=port):
        yield Reader(folder, port)


def follow() -> dict[str, str]:
    """The guide's blocks by name, each as the page shows it."""
    with TemporaryDirectory(prefix="forewarn-docs-") as name, reader(Path(name)) as who:
        return before_the_agent(who) | with_the_agent(who)


def before_the_agent(who: Reader) -> dict[str, str]:
    """Sections 2 to 4."""
    table, *_ = (text := who.shell(command("forewarn replay --bundle"))).split("pumps 0.1.0, lenient")
    met = next(line for line in text.splitlines() if line.startswith("met"))
    port = str(who.port)
    sampled = who.shell(f"({command('forewarn sample').replace(PORT, port)}) 2>&1").replace(port, PORT)
    return {
        "guide_sample": fenced(sampled.strip()),
        "guide_check": fenced(who.shell(command("forewarn check")).strip()),
        "guide_check_bad": fenced(who.shell("forewarn check bad.toml").strip()),
        "guide_replay": fenced(f"{table.rstrip()}\n...\n{met}"),
    }


def with_the_agent(who: Reader) -> dict[str, str]:
    """Sections 5 to 7, the event that README shows, and the recording."""
    with who.listening() as wait, who.agent(), who.recording() as stop:
        status = json.loads(wait("forewarn/gateway-1/status", '"pumps":"granted"'))
        who.shell(command("plant/pump-1/telemetry -m"))
        score = wait("forewarn/gateway-1/score/pumps/pump-1", "")
        who.shell(command("awk"))
        event = wait("forewarn/gateway-1/event", '"event":"raised"')
        last = json.loads((who.folder / "pump.jsonl").read_text().splitlines()[-1])["ts"]
        wait("forewarn/gateway-1/score/pumps/pump-0022", f'"t_ns":{int(last)}000000000')
        topic_and_alert = who.shell(command("forewarn/+/alert/#"))
        alerts = who.shell(command("forewarn alerts"))
        recorded = stop()
    kept = {key: status[key] for key in ("taken", "devices", "drops")}
    kept["subscriptions"] = status["broker"]["input"]["subscriptions"]
    return {
        "guide_status": fenced(json.dumps(kept, separators=(",", ":"))),
        "guide_score": fenced(f"forewarn/gateway-1/score/pumps/pump-1 {score}"),
        "readme_event": fenced(packed(event), "json"),
        "guide_alert": fenced(packed(topic_and_alert.split(" ", 1)[1].splitlines()[0]), "json"),
        "guide_alerts": fenced(alerts.strip()),
        "guide_record": fenced(recorded.strip()),
    }
