"""`forewarn replay`: read, play, measure, report, and hold the result against what is required."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import get_args

import click

from agent import whole_file
from agent.bundle import file
from agent.bundle.manifest import Manifest
from agent.config.broker_settings import Broker
from agent.config.plan import judged_heads
from agent.core.model import load_engine
from agent.errors import ForewarnError
from agent.judge.threshold import TIME_IN_ALARM_MAX
from agent.replay import options, wording
from agent.replay.broker.own_broker import own_broker
from agent.replay.broker.player import play_through_broker, private_topic
from agent.replay.inline import play_inline
from agent.replay.messages import source_for, stream, without_rows_too_soon
from agent.replay.progress import show_progress
from agent.replay.recorded import Recorded, read_labelled
from agent.replay.report.junit import as_junit
from agent.replay.require import FIGURES, OPERATORS, check
from agent.replay.result import Through, Truth, as_json, assess
from agent.score.time_unit import unit_of
from agent.table.form import FileUnit
from agent.table.lives.recording import Asked
from agent.words import FirstSeen

_FILE = click.Path(path_type=Path)
_MAY_BE_REQUIRED = "\n".join(
    [
        "\b\nWhat may be required, NAME OPERATOR VALUE:",
        *(f"  {name:<17} {figure.meaning}" for name, figure in FIGURES.items()),
        f"  Operators: {' '.join(OPERATORS)}. A lead is in cycles, or in seconds or as 48h.",
    ]
)


@click.command(short_help="Play recorded devices: would it have warned in time?", epilog=_MAY_BE_REQUIRED)
@click.option("--bundle", "bundle_path", required=True, type=_FILE, help="The .fwb file to try.")
@click.option(
    "--data",
    multiple=True,
    metavar="PLACE",
    help="Recorded rows: CSV (.gz, .xz too) or Parquet with columns device, t and channels; a file, a folder, a "
    "pattern in quotes, or members of a .tar.xz. May be given several times. [default: data.rows of --config]",
)
@click.option("--config", type=_FILE, help="Read rows and labels as [data] of this training TOML says.")
@click.option(
    "--truth",
    type=_FILE,
    help="When they failed, any number of times: a table with device,t_fail. [default: none failed]",
)
@click.option("--faults", type=_FILE, help="When they were not normal: a table with device,start,end.")
@click.option("--maintenance", type=_FILE, help="When they were repaired: a table with device,t.")
@click.option("--device", default="", metavar="COLUMN", help="Column of the device. [default: device]")
@click.option("--time", default="", metavar="COLUMN", help="Column of the time. [default: t]")
@click.option(
    "--time-unit",
    type=click.Choice(get_args(FileUnit)),
    help="Unit of the times; ISO 8601 texts go with any but cycle. [default: s, or cycle where the bundle counts them]",
)
@click.option("--zone", default="", metavar="ZONE", help="IANA time zone of texts without an offset. [default: UTC]")
@click.option("--out", required=True, type=_FILE, help="Folder for replay.json and report.html.")
@click.option(
    "--require",
    "required",
    multiple=True,
    metavar="REQUIREMENT",
    help='Exit 1 unless it is met, as in "detection>=0.95"; see below. May be given several times.',
)
@click.option("--junit", type=_FILE, help="Write JUnit XML: a test case for each requirement and each device.")
@click.option(
    "--budget", default="", help='False alarms allowed. [default: "1 per 1000 cycles" or "1 per device per 30d"]'
)
@click.option("--anomaly-budget", default="", help="The same for alerts of the head anomaly alone. [default: --budget]")
@click.option(
    "--time-in-alarm-max",
    default=TIME_IN_ALARM_MAX,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True, max=1),
    help="Share of the calibration time that false alarms may stand.",
)
@click.option(
    "--first-seen",
    type=click.Choice(["unknown", "new"]),
    default="unknown",
    show_default=True,
    help="What is known of a device when its first row comes: new where every recording begins with its device's life.",
)
@click.option(
    "--through",
    type=click.Choice(["inline", "mqtt"]),
    default="inline",
    show_default=True,
    help="Straight into the core, or through a broker and a whole agent.",
)
@click.option(
    "--broker",
    default="",
    metavar="HOST:PORT",
    help="Broker for mqtt, also as mqtts://USER@HOST:PORT for TLS and a user. [default: one of its own]",
)
@click.option("--password-file", type=_FILE, help="File with the password of that user.")
@click.option("--ca-file", type=_FILE, help="Certificates to trust instead of the system's.")
@click.option(
    "--topic", default="", metavar="PATTERN", help="Topic of the rows, with {device}. [default: one of its own]"
)
@click.option(
    "--speed",
    default="max",
    metavar="N|max",
    show_default=True,
    help="Times real time, by the rows' own times; N cycles a second where they count cycles.",
)
@click.option("--live", is_flag=True, help="Print warnings on standard error as they come.")
@click.option("--live-max", default=20, show_default=True, type=click.IntRange(min=1), help="How many of them.")
@click.option("--html/--no-html", default=True, help="Write report.html; needs the extra `report`.")
@click.option("--json", "json_to_stdout", is_flag=True, help="Print replay.json instead of the table.")
def replay(
    bundle_path: Path,
    data: tuple[str, ...],
    config: Path | None,
    truth: Path | None,
    faults: Path | None,
    maintenance: Path | None,
    device: str,
    time: str,
    time_unit: FileUnit | None,
    zone: str,
    out: Path,
    required: tuple[str, ...],
    junit: Path | None,
    budget: str,
    anomaly_budget: str,
    time_in_alarm_max: float,
    first_seen: FirstSeen,
    through: Through,
    broker: str,
    password_file: Path | None,
    ca_file: Path | None,
    topic: str,
    speed: str,
    live: bool,
    live_max: int,
    html: bool,
    json_to_stdout: bool,
) -> None:
    """\b
    forewarn replay --bundle pump-1.0.0.fwb --data play.csv --truth truth.csv --out replay
    forewarn replay --bundle pump-1.0.0.fwb --config pump.toml --data "plant-2/*.txt" --out replay
    forewarn replay ... --require "detection>=0.9" --require "false_alarm_rate<=1" --junit replay.xml

    Play recorded devices to a bundle and measure how it would have warned: lead time, false alarms, missed failures,
    beside a detector that knows only age. Writes replay.json and report.html into the folder OUT.

    Exit code 1 when a requirement is not met; everything is written all the same.
    """
    if html and find_spec("matplotlib") is None:
        what = "the report's plots need matplotlib, which is not installed"
        raise ForewarnError("replay", what, next_step="pip install 'forewarn[report]', or leave it out: --no-html.")
    times_real_time = options.speed_of(speed)
    named = options.broker_at(broker, password_file, ca_file) if broker else None
    for folder in (out, junit.parent if junit else out):
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    bundle = file.read(bundle_path)
    load_engine(bundle)
    requirements = options.requirements(required, bundle.manifest)
    named_files = options.Labelled(data, config, truth, faults, maintenance, device, time, time_unit, zone)
    recorded, became = _read(options.asked(named_files, bundle.manifest), bundle.manifest)
    budgets = options.Budgets(budget, anomaly_budget, time_in_alarm_max)
    model = options.model_for(budgets, bundle.manifest, bundle=bundle_path, n_devices=len(recorded))
    judged = judged_heads(model, bundle.manifest)
    source = source_for(bundle.manifest, options.topic(topic) or private_topic(), first_seen=first_seen)
    rows = stream(recorded, source)
    progress = show_progress(len(rows), bundle.manifest, became.t_fail_s, live_max=live_max if live else 0)
    with _ended_as_by_ctrl_c():
        if through == "inline":
            with progress as observer:
                thresholds = {head: one.chosen.threshold for head, one in judged.items()}
                played = play_inline(bundle, bundle.model, rows, thresholds, observer, times_real_time)
        else:
            with _folder() as state, _broker(named, state) as at, progress as observer:
                played = play_through_broker(bundle, rows, model, at, state, observer, times_real_time)
    result = assess(bundle, through, judged, played, became, first_seen=first_seen)
    unit = unit_of(bundle.manifest)
    checked = [check(one, result, unit) for one in requirements]
    with _writing(out):
        whole_file.write(out / "replay.json", as_json(result))
        if html:
            from agent.replay.report.html import render  # needs an extra

            whole_file.write(out / "report.html", render(result, unit).encode())
    if junit:
        with _writing(junit):
            junit.write_bytes(as_junit(result, checked, unit))
    if json_to_stdout:
        sys.stdout.buffer.write(as_json(result))
    else:
        click.echo(wording.summary(result, unit))
        click.echo(f"\n{out / ('report.html' if html else 'replay.json')}")
    for requirement in checked:
        click.echo(requirement, err=json_to_stdout)
    sys.exit(0 if all(requirement.is_met for requirement in checked) else 1)


def _read(asked: Asked, manifest: Manifest) -> tuple[list[Recorded], Truth]:
    """The rows that an agent would score, and what became of their devices; tells what is left out."""
    recordings = read_labelled(asked)
    for doubt in recordings.doubts:
        click.echo(doubt, err=True)
    recorded, n_too_soon = without_rows_too_soon(recordings.devices, manifest)
    if n_too_soon:
        every = f"{manifest.cadence.closest_s:g} {'cycles' if manifest.time_unit == 'cycle' else 's'}"
        what = f"{n_too_soon} rows come sooner than {every} after the row before and are left out, as live"
        click.echo(what, err=True)
    return recorded, Truth(recordings.t_fail_s, recordings.faults)


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ForewarnError(where, error.strerror or str(error), next_step="Name a place to write to.") from None


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="forewarn-replay-") as folder:
        yield Path(folder)


@contextmanager
def _broker(named: Broker | None, folder: Path) -> Iterator[Broker]:
    """The broker that the user named, or one that lives as long as the replay; says which."""
    if named is not None:
        click.echo(f"broker: {named.host}:{named.port}", err=True)
        yield named
        return
    with own_broker(folder) as own:
        click.echo(f"broker: {own.name}", err=True)
        yield own.broker


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """Whoever ends the replay, a terminal that closes or a pipeline that is cancelled, agent and broker go with it."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
