"""A recording from its start to its end: the receivers and the core of `forewarn run`, without models, and a recorder.

It publishes nothing, keeps no state but its files, and may run beside the agent and beside other recordings: its client
ids have `-record-` and a hash of its folder's path.
"""

import os
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import click
import msgspec
from structlog.typing import FilteringBoundLogger

from agent.bundle import file as bundle_file
from agent.config.plan import Plan, bounds, plan
from agent.config.settings import Settings
from agent.core import Core
from agent.core.input_log import Unkept
from agent.errors import ConfigurationRefused, ForewarnError
from agent.log import DropLog, ShedLog, UndecodableLog
from agent.publish.status import by_source
from agent.receive.feed import Feed
from agent.receive.inputs import open_inputs
from agent.record.columns import columns_of, counted_of
from agent.record.doubts import Doubts, unborn
from agent.record.recorder import Recorded, Recorder
from agent.signals import Signals
from agent.words import Taken

TURN_S = 0.05
SAID_EVERY_S, SHOWN_EVERY_S = 60.0, 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a user asked for. for_s: 0 for until a signal; asks: Sparkplug edge nodes are asked for what they said."""

    folder: Path
    for_s: float
    flush_every_s: float
    size_max: int
    asks: bool = False


class Summary(msgspec.Struct, frozen=True):
    """What a recording came to.

    rows, devices  of each source: rows that are in files since the start, devices in the folder
    left_out       rows that were not recorded, by source and reason; drops: messages, likewise
    lost_s         seconds without a connection that stood before, by the broker's name; those that lost none are absent
    doubts         what cannot be right, or what to do about no rows, by source
    """

    folder: str
    seconds: float
    messages: int
    rows: dict[str, int]
    devices: dict[str, int]
    interventions: int
    files: int
    bytes: int
    left_out: dict[str, dict[str, int]]
    drops: dict[str, dict[str, int]]
    lost_s: dict[str, float]
    doubts: dict[str, str]
    not_written: str

    def __str__(self) -> str:
        lines = [
            f"{sum(self.rows.values()):,} rows of {self.messages:,} messages; {self.folder} has {self.files:,} files, "
            f"{self.bytes:,} bytes"
        ]
        lines += [f"  {name}: {n:,} rows, {self.devices[name]:,} devices" for name, n in self.rows.items()]
        lines += [f"  {self.interventions:,} interventions"] if self.interventions else []
        for what, by_name in (("rows left out", self.left_out), ("messages dropped or doubtful", self.drops)):
            for name, reasons in by_name.items():
                listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
                lines.append(f"  {name or 'no source'}: {what}: {listed}")
        for name, lost_s in self.lost_s.items():
            lines.append(f"  {name}: the connection was lost for {lost_s:,.1f} s; what was published then is missing")
        lines += [f"  {name}: {doubt}" for name, doubt in self.doubts.items()]
        return "\n".join([*lines, *([f"  not written: {self.not_written}"] if self.not_written else [])])


def record(settings: Settings, options: Options, log: FilteringBoundLogger) -> Summary:
    """Record until SIGTERM, SIGINT or SIGHUP, or for so long as was asked for."""
    signals = Signals()
    signals.catch()
    session = Session(settings, options, log)
    begun_s = time.monotonic()
    try:
        while not (signals.stop or signals.reload):
            session.turn()
            if options.for_s and time.monotonic() - begun_s >= options.for_s:
                break
        session.end()
    finally:
        session.recorder.close()
    return session.summary()


class Session:
    """Everything that runs, wired together."""

    def __init__(self, settings: Settings, options: Options, log: FilteringBoundLogger) -> None:
        bundles = {model.name: bundle_file.read(model.bundle) for model in settings.model}
        self._plan: Plan = plan(settings, bundles, reads_all=True)
        self._options, self._log = options, log
        self._delay_max_s = settings.agent.delay_max.total_seconds()
        self.recorder = _recorder(self._plan, options, log)
        self._owner_of = {source.name: source.joins or source.name for source in self._plan.sources}
        self._core = Core(self._plan.sources, (), bounds(settings.agent), keeps_rows=True)
        role = f"record-{sha256(os.fsencode(options.folder.resolve())).hexdigest()[:8]}"
        self._inputs = open_inputs(settings, self._plan, log, not_before_ns=self._core.log_time_ns, role=role)
        self._lost_s: defaultdict[str, float] = defaultdict(float)  # by the name of the broker's table
        self._doubts = Doubts(self._plan.sources, log)
        self._drop_log, self._shed_log = DropLog(log), ShedLog(log)
        self._undecodable_log = UndecodableLog(log, settings.agent.undecodable_max)
        self._feed = Feed(
            self._inputs,
            self._core,
            Unkept(self._core),
            self._finish,
            drop_log=self._drop_log,
            shed_log=self._shed_log,
        )
        self._granted: dict[str, str] = {}
        self._n_rows = 0
        self._begun_s = self._said_s = self._turned_s = time.monotonic()
        self._said_rows = 0
        self._said_every_s = SHOWN_EVERY_S if sys.stderr.isatty() else SAID_EVERY_S
        log.info(
            "recording_started",
            version=version("forewarn"),
            folder=str(options.folder),
            sources=[one.name for one in self._plan.sources],
            files=self.recorder.n_files,
            bytes=self.recorder.size_bytes,
        )

    def turn(self) -> None:
        """Once around."""
        self._feed.turn(TURN_S)
        now_s = time.monotonic()
        self._count_lost(now_s)
        self.recorder.turn(now_s)
        self._drop_log.say(now_s)
        self._shed_log.say(now_s)
        granted = {name: how for one in self._inputs.receivers for name, how in one.subscriptions.of_source.items()}
        if granted != self._granted:
            self._granted = granted
            self._log.info("sources_subscribed", sources=granted)
        if now_s - self._said_s >= self._said_every_s:
            self._say(now_s)
        self._feed.nap(self._delay_max_s)

    def end(self) -> None:
        """Take what has been read, and say goodbye to the brokers."""
        self._feed.close()

    def summary(self) -> Summary:
        recorder = self.recorder
        drops = by_source([self._core.counts, self._inputs.counts])
        asks = self._options.asks
        return Summary(
            folder=str(self._options.folder),
            seconds=round(time.monotonic() - self._begun_s, 1),
            messages=self._core.n_messages,
            rows=recorder.n_rows,
            devices=recorder.n_devices,
            interventions=recorder.labels.n_written,
            files=recorder.n_files,
            bytes=recorder.size_bytes,
            left_out=recorder.left_out,
            drops=drops,
            lost_s={name or "broker": round(lost_s, 3) for name, lost_s in self._lost_s.items()},
            doubts=self._doubts.of_source | unborn(self._plan.sources, recorder.n_rows, drops, asks=asks),
            not_written=recorder.what_failed,
        )

    def _count_lost(self, now_s: float) -> None:
        """Time since the last turn, for each broker whose connection stood before and does not."""
        for name, one in self._inputs.by_broker.items():
            if one.link.n_connections and not one.link.is_connected:
                self._lost_s[name] += now_s - self._turned_s
        self._turned_s = now_s

    def _finish(self, taken: Taken) -> None:
        self.recorder.hear(taken, self._owner_of)
        self._doubts.hear(taken.rows)
        self._n_rows += sum(map(len, taken.rows))
        self._drop_log.hear(taken.drops, self._core.counts)
        if self._options.asks:
            self._inputs.publish(taken.requests)

    def _say(self, now_s: float) -> None:
        """A line that is overwritten on a terminal, one in the log now and then elsewhere."""
        rate = (self._n_rows - self._said_rows) / (now_s - self._said_s)
        self._said_s, self._said_rows = now_s, self._n_rows
        self._undecodable_log.hear(self._core.undecodable())
        if sys.stderr.isatty():
            text = f"{now_s - self._begun_s:,.0f} s: {self._n_rows:,} rows, {rate:,.1f} a second"
            click.echo(f"{text}\033[K\r", err=True, nl=False)
        else:
            self._log.info(
                "rows_recorded",
                rows=self._n_rows,
                rows_per_s=round(rate, 1),
                files=self.recorder.n_files,
                bytes=self.recorder.size_bytes,
            )


def recorded_sources(planned: Plan) -> list[Recorded]:
    """The sources that own their devices, each with the columns of its rows."""
    columns, counted = columns_of(planned), counted_of(planned)
    return [
        Recorded(index, planned.sources[index].name, of, planned.sources[index].time_unit == "cycle", counted[index])
        for index, of in columns.items()
    ]


def _recorder(planned: Plan, options: Options, log: FilteringBoundLogger) -> Recorder:
    sources = recorded_sources(planned)
    if not sources:
        next_step = "Write them in [source.channels], or name a [[model]] that has them."
        raise ConfigurationRefused(
            "record", "no source has a channel, so there is nothing to record", next_step=next_step
        )
    try:
        return Recorder(sources, options.folder, log, flush_every_s=options.flush_every_s, size_max=options.size_max)
    except OSError as error:
        what = error.strerror or str(error)
        raise ForewarnError(error.filename or options.folder, what, next_step="Name another folder: --out.") from None
