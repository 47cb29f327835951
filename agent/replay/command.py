"""`forewarn replay`: read, play, measure, report."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from agent.bundle import file, golden
from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest
from agent.config.agree import budget_faults
from agent.config.settings import Model
from agent.decode.topic import DEVICE, Pattern
from agent.errors import ForewarnError
from agent.judge.threshold import choose, parse_budget
from agent.replay import told
from agent.replay.agent_process import Address
from agent.replay.broker import free_port, mosquitto
from agent.replay.play import PlayedDevice, Watcher, play_inline
from agent.replay.result import Through, as_json, assess
from agent.replay.stream import Stream, source_for, stream
from agent.replay.through_broker import play_through_broker, private_topic
from agent.replay.truth import read_recorded, read_truth
from agent.replay.unit import unit_of
from agent.step.engine import Engine
from agent.words import AlertEvent

_FILE = click.Path(path_type=Path)


@click.command(short_help="Play recorded devices: would it have warned in time?")
@click.option("--bundle", "bundle_path", required=True, type=_FILE, help="The .fwb file to try.")
@click.option("--data", required=True, type=_FILE, help="Recorded rows: CSV with device,t,CHANNEL... (.xz, .gz too).")
@click.option("--truth", required=True, type=_FILE, help="What became of them: CSV with device,t_fail.")
@click.option("--out", required=True, type=_FILE, help="Folder for replay.json and report.html.")
@click.option(
    "--through",
    type=click.Choice(["inline", "mqtt"]),
    default="inline",
    show_default=True,
    help="Straight into the core, or through a broker and a whole agent.",
)
@click.option("--broker", default="", metavar="HOST:PORT", help="Broker for mqtt. [default: a mosquitto of its own]")
@click.option(
    "--budget", default="", help='False alarms allowed. [default: "1 per 1000 cycles" or "1 per device per 30d"]'
)
@click.option(
    "--topic", default="", metavar="PATTERN", help="Topic of the rows, with {device}. [default: one of its own]"
)
@click.option("--live", is_flag=True, help="Print each warning on standard error as it comes.")
@click.option("--html/--no-html", default=True, help="Write report.html; needs the extra `report`.")
@click.option("--json", "json_to_stdout", is_flag=True, help="Print replay.json instead of the table.")
def replay(
    bundle_path: Path,
    data: Path,
    truth: Path,
    out: Path,
    through: Through,
    broker: str,
    budget: str,
    topic: str,
    live: bool,
    html: bool,
    json_to_stdout: bool,
) -> None:
    """\b
    forewarn replay --bundle pump-1.0.0.fwb --data play.csv --truth truth.csv --out replay

    Play recorded devices to a bundle and measure how it would have warned: lead time, false alarms, missed failures,
    beside a detector that knows only age. Writes replay.json and report.html into the folder OUT.
    """
    if html and find_spec("matplotlib") is None:
        what = "the report's plots need matplotlib, which is not installed"
        raise ForewarnError("replay", what, next_step="pip install 'forewarn[report]', or leave it out: --no-html.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None
    bundle = file.read(bundle_path)
    golden.verify(bundle, Engine(bundle.model, bundle.manifest))
    recorded = read_recorded(data, bundle.manifest)
    became = read_truth(truth, [one.device for one in recorded])
    budget = budget or ("1 per 1000 cycles" if bundle.manifest.time_unit == "cycle" else "1 per device per 30d")
    for _, problem in budget_faults(
        Model(bundle=bundle_path, budget=budget, fleet_size=len(recorded)), bundle.manifest
    ):
        raise click.BadParameter(problem, param_hint="--budget")
    allowed = parse_budget(budget, fleet_size=len(recorded))
    chosen = choose(bundle.manifest.thresholds, allowed)
    played_rows = stream(recorded, source_for(bundle.manifest, _topic(topic) or private_topic()))
    with _watcher(len(played_rows), bundle.manifest, became, live=live) as watcher:
        if through == "inline":
            played = play_inline(bundle, bundle.model, played_rows, chosen.threshold, watcher)
        else:
            played = _through_broker(bundle, played_rows, budget, broker, watcher)
    found = assess(bundle, through, allowed, chosen, played, became)
    unit = unit_of(bundle.manifest)
    try:
        (out / "replay.json").write_bytes(as_json(found))
        if html:
            from agent.replay import report  # matplotlib is an extra

            (out / "report.html").write_text(report.render(found, unit), encoding="utf-8")
    except OSError as error:
        raise _unwritable(out, error) from None
    if json_to_stdout:
        sys.stdout.buffer.write(as_json(found))
        return
    click.echo(told.summary(found, unit))
    click.echo(f"\n{out / ('report.html' if html else 'replay.json')}")


def _unwritable(out: Path, error: OSError) -> ForewarnError:
    return ForewarnError(out, error.strerror or str(error), next_step="Name a folder to write to.")


def _through_broker(
    bundle: Bundle, rows: Stream, budget: str, broker: str, watcher: Watcher
) -> tuple[PlayedDevice, ...]:
    with TemporaryDirectory(prefix="forewarn-replay-") as folder, _broker(broker, Path(folder)) as address:
        return play_through_broker(bundle, rows, budget, address, Path(folder), watcher)


@contextmanager
def _broker(text: str, folder: Path) -> Iterator[Address]:
    """The broker that the user named, or one that lives as long as the replay."""
    if text:
        yield _address(text)
        return
    port = free_port()
    with mosquitto(folder, port=port):
        yield Address("127.0.0.1", port)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise click.BadParameter(f"{text!r} is not HOST:PORT, as in localhost:1883", param_hint="--broker")
    return Address(host.strip("[]"), int(port))


def _topic(text: str) -> str:
    if text:
        try:
            Pattern.parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--topic") from None
        if any(wildcard in text for wildcard in "+#"):
            what = f"rows are published to it, so it holds no wildcard beside {DEVICE}"
            raise click.BadParameter(what, param_hint="--topic")
    return text


@contextmanager
def _watcher(n_rows: int, manifest: Manifest, became: dict[str, float | None], *, live: bool) -> Iterator[Watcher]:
    """Shows how far it is where standard error is a terminal, and each warning as it comes where that is asked for."""
    is_terminal = sys.stderr.isatty()
    unit = unit_of(manifest)

    def warned(event: AlertEvent) -> None:
        if live:
            line = told.warning(event, manifest, became[event.device], unit)
            click.echo(f"\r\033[K{line}" if is_terminal else line, err=True)

    if not is_terminal:
        yield Watcher(warned=warned)
        return
    with click.progressbar(
        length=n_rows, label="replay", file=sys.stderr, show_pos=True, update_min_steps=max(1, n_rows // 500)
    ) as bar:
        yield Watcher(warned=warned, played=bar.update)
