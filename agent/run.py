"""The daemon: receiver, core, store and publisher in one loop, and the signals that end it or change its settings.

One turn: read what is there, take it through the core, commit alerts, acknowledge, publish; then a nap when the read
was small.
"""

import faulthandler
import os
import sqlite3
import time
from collections.abc import Callable
from itertools import chain

import msgspec
from structlog.typing import FilteringBoundLogger

from agent.bundle import file as bundle_file
from agent.config import reload
from agent.config.examination import Examination
from agent.config.load import Examined
from agent.config.plan import Plan, build, plan
from agent.config.settings import Settings
from agent.errors import ForewarnError
from agent.log import DropLog, RequestLog, ShedLog, say_alert, say_threshold
from agent.people_log import HandledLog, InterventionLog, LabelLog
from agent.publish.handled import handled_message
from agent.publish.intervention import intervention_message
from agent.publish.label import label_message
from agent.publish.message import score_messages
from agent.publish.mqtt import Output
from agent.publish.sinks import SINKS, Opening, Sinks
from agent.publish.status import one_line
from agent.publish.topic import Topics
from agent.receive.feed import Feed
from agent.receive.inputs import open_inputs
from agent.service_manager import Progress, Supervisor
from agent.signals import Signals
from agent.stall import Stall
from agent.status import VERSION, Parts, StatusReport
from agent.store.cursor import Cursor
from agent.store.disk import StateFolder
from agent.store.durability import DURABILITIES
from agent.store.flash_wear import FlashWear
from agent.store.instance import instance_id
from agent.store.lock import lock
from agent.store.outbox import ALERT_TABLE, Outbox
from agent.store.snapshot_writer import in_thread
from agent.store.state_directory import StateDirectory
from agent.words import Taken

TURN_S = 0.05  # longest wait for a message: the output and the clock get their turn
BUSY_NAP_S = 0.005  # the longest nap while the output waits for acknowledgements: more goes out as they come
FAILED = 1
OUTBOX_PATIENCE_KEEPALIVES = 3  # paho notices within two that a connection is dead


def run(settings: Settings, examine_again: Callable[[], Examined], log: FilteringBoundLogger) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. Raises ForewarnError for what a user can mend at start.

    examine_again  reads the configuration anew, for SIGHUP
    """
    faulthandler.enable()  # a watchdog's SIGABRT shows where every thread stood
    held = lock(settings.agent.state_dir)
    try:
        return _run(settings, examine_again, log)
    except sqlite3.Error as error:
        where = settings.agent.state_dir / ALERT_TABLE
        next_step = "Is the disk full or failing, or does a shell hold it?"
        raise ForewarnError(where, f"cannot be written: {error}", next_step=next_step) from error
    except ForewarnError:
        raise
    except Exception as error:
        notes = getattr(error, "__notes__", [])
        log.exception("agent_failed", notes=notes, next_step="This is a fault of forewarn: please report this line.")
        return FAILED
    finally:
        held.close()


def _run(settings: Settings, examine_again: Callable[[], Examined], log: FilteringBoundLogger) -> int:
    signals = Signals()
    signals.catch()
    supervisor = Supervisor(os.environ, log)
    daemon = Daemon(settings, supervisor, log)
    supervisor.ready()
    stall = Stall(log)
    stall.watch()
    examination: Examination | None = None  # of the configuration, while it goes on
    while not signals.stop:
        stall.turn()
        if signals.reload and examination is None:
            signals.reload = False
            supervisor.reloading()
            examination = Examination(examine_again)
        if examination is not None and (examined := examination.result()) is not None:
            examination = None
            daemon.reload(examined)
            supervisor.ready()
        daemon.turn()
    log.info("agent_stopping", signal=signals.name)
    supervisor.stopping()
    daemon.close()
    return 0


class Daemon:
    """Everything that runs, wired together at its start."""

    def __init__(self, settings: Settings, supervisor: Supervisor, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._log = log
        self._plan: Plan = plan(settings, {model.name: bundle_file.read(model.bundle) for model in settings.model})
        self._core = build(settings, self._plan)
        self._outbox = self._open_outbox()
        self._topics = Topics.of(settings.publish.prefix, settings.agent.node)
        cursors = self._cursors()
        self._wear = FlashWear(StateFolder(settings.agent.state_dir), settings.agent.state_dir / ALERT_TABLE, log)
        disk, journal_max = self._wear.disk, settings.agent.journal_max
        self._durability = DURABILITIES[settings.agent.durability](
            StateDirectory(disk, self._core, self._outbox, log, journal_max, in_thread(), supervisor.starting)
        )
        recovered = self._durability.start(time.monotonic())
        kept = recovered if settings.agent.durability == "journal" else None
        # Where the wall was set back meanwhile, silence must not be raised at a tick, and so by an id, once more.
        tick_ns = round(settings.agent.tick_every.total_seconds() * 1e9)
        not_before_ns = max(self._core.log_time_ns, self._outbox.newest_of_no_model_ns() + tick_ns)
        self._inputs = open_inputs(settings, self._plan, log, not_before_ns=not_before_ns, kept=kept)
        instance = instance_id(disk, log)
        opened = {
            name: SINKS[name].open(Opening(settings, cursor, self._topics, instance, log))
            for name, cursor in cursors.items()
        }
        self._sinks = Sinks(opened, log)
        output = opened["mqtt"]
        assert isinstance(output, Output)
        self._output = output  # status and scores leave by the same connection
        self._drop_log = DropLog(log)
        self._shed_log = ShedLog(log)
        self._request_log = RequestLog(log)
        self._intervention_log = InterventionLog(log)
        self._label_log = LabelLog(log)
        self._handled_log = HandledLog(log)
        self._feed = Feed(
            self._inputs,
            self._core,
            self._durability,
            self._finish,
            drop_log=self._drop_log,
            shed_log=self._shed_log,
        )
        now_s = time.monotonic()
        self._status_due_s = self._look_due_s = now_s
        self._links_said: tuple[object, ...] = ()
        parts = Parts(
            settings,
            self._plan,
            self._core,
            self._outbox,
            self._feed,
            self._inputs,
            self._output,
            self._wear,
            self._intervention_log,
        )
        self._report = StatusReport(parts, now_s, log)
        self._progress = Progress(OUTBOX_PATIENCE_KEEPALIVES * settings.output_broker.keepalive.total_seconds())
        self._say_start()

    def turn(self) -> None:
        """Once around: no network is waited for longer than TURN_S, and no read is taken for much longer than that."""
        self._feed.turn(TURN_S)
        self._drop_log.say(time.monotonic())
        self._shed_log.say(time.monotonic())
        self._request_log.say(time.monotonic())
        self._sinks.turn(time.monotonic())
        now_s = time.monotonic()
        self._wear.turn(now_s)
        agent = self._settings.agent
        at_least_s = agent.snapshot_every.total_seconds()
        self._durability.after_turn(now_s, self._wear.snapshot_every_s(at_least_s, agent.snapshot_bytes_per_day_max))
        granted = (one.subscriptions.of_source.values() for one in self._inputs.receivers)
        links = (self._output.link.is_connected, *chain.from_iterable(granted))
        if now_s >= self._status_due_s or links != self._links_said:
            self._links_said = links
            self._status_due_s = now_s + self._settings.agent.status_every.total_seconds()
            self._say_status(now_s)
        if now_s >= self._look_due_s:
            self._look_due_s = now_s + self._supervisor.look_every_s
            self._supervisor.heed(self._stuck(now_s))
        delay_max_s = self._settings.agent.delay_max.total_seconds()
        self._feed.nap(min(delay_max_s, BUSY_NAP_S) if self._sinks.is_busy else delay_max_s)

    def reload(self, examined: Examined) -> None:
        """Take over what may change while it runs, name what needs a restart; problems change nothing."""
        for problem in examined.problems:
            self._log.error(
                "configuration_refused", file=problem.file, line=problem.line, key=problem.key, why=problem.what
            )
        if examined.settings is None or examined.plan is None:
            return
        self._settings, live, left = reload.apply(self._settings, examined.settings)
        left += reload.replaced_bundles(self._plan, examined.plan)
        for change in live:
            self._log.info("setting_applied", key=change.key, before=change.running, now=change.file)
        for change in left:
            self._log.warning("setting_needs_restart", key=change.key, running=change.running, file=change.file)
        self._status_due_s = time.monotonic()
        self._log.info("configuration_reloaded", applied=len(live), needs_restart=len(left))

    def close(self) -> None:
        """Keep the state, let the outbox empty itself, say `stopped`."""
        self._feed.close()
        self._durability.stop()
        self._say_status(time.monotonic())
        self._sinks.close()
        self._outbox.close()
        self._log.info("agent_stopped", taken=self._core.n_messages)

    # One turn ---------------------------------------------------------------------------------------------------

    def _finish(self, taken: Taken) -> None:
        """Commit alerts before anything is said of them, and before their messages are acknowledged."""
        self._durability.commit(taken)
        for event in taken.alerts:
            say_alert(self._log, event, has_models=len(self._plan.models) > 1)
        self._drop_log.hear(taken.drops, self._core.counts)
        self._inputs.publish(taken.requests)
        self._request_log.hear(taken.requests)
        self._intervention_log.hear(taken, time.monotonic())
        for label in taken.labels:
            payload = msgspec.json.encode(intervention_message(label))
            self._output.publish(self._topics.intervention, payload, retain=False)
        for alert_label in taken.alert_labels:
            said = label_message(alert_label, self._outbox.alert(alert_label.alert))
            self._label_log.hear(alert_label, time.monotonic(), is_known=said.is_known)
            self._output.publish(self._topics.label, msgspec.json.encode(said), retain=False)
        for handled in taken.handled:
            self._handled_log.hear(handled, time.monotonic())
            self._output.publish(self._topics.handled, msgspec.json.encode(handled_message(handled)), retain=False)
        if self._settings.publish.scores == "all":
            for model, scores in zip(self._plan.models, taken.scores, strict=True):
                manifest = model.bundle.manifest
                for topic, payload in score_messages(scores, self._plan.sources, manifest, self._topics):
                    self._output.publish(topic, payload, retain=False)

    def _stuck(self, now_s: float) -> str:
        """The stage at which work waits and none is done, "" for none."""
        return self._progress.stuck(
            now_s,
            read=self._feed.n_read if not self._feed.why_held else 0,  # a full disk is no fault of the loop's
            stepped=self._core.n_messages,
            waiting=self._output.waiting,
            settled=self._output.counts.delivered + self._output.counts.parked,
            connection=self._output.link.n_connections if self._output.link.is_connected else 0,
        )

    def _say_status(self, now_s: float) -> None:
        status = self._report.make(now_s)
        self._output.publish(self._topics.status, msgspec.json.encode(status), retain=True)
        self._supervisor.say(one_line(status))

    def _say_start(self) -> None:
        agent = self._settings.agent
        self._log.info(
            "agent_started",
            version=VERSION,
            node=agent.node,
            durability=agent.durability,
            models={
                model.name: f"{model.bundle.manifest.name} {model.bundle.manifest.version} {model.bundle.digest[:12]}"
                for model in self._plan.models
            },
            standing=self._core.view().n_standing(),
        )
        for model in self._plan.models:
            for head, judged in model.heads.items():
                say_threshold(self._log, model.name, head, judged.budget.text, judged.chosen)

    # State ------------------------------------------------------------------------------------------------------

    def _open_outbox(self) -> Outbox:
        path = self._settings.agent.state_dir / ALERT_TABLE
        outbox = Outbox(path, self._settings.publish.outbox_max)
        if outbox.aside is not None:
            self._log.error("alert_table_set_aside", kept=str(outbox.aside), why=outbox.why_aside)
        return outbox

    def _cursors(self) -> dict[str, Cursor]:
        """Of each sink, before the first event of this run is committed."""
        cursors = {name: self._outbox.cursor(name, mirrors=kind.mirrors) for name, kind in SINKS.items()}
        for sink, count in self._outbox.leave_other_sinks().items():
            self._log.warning("sink_left", sink=sink, events=count, why="this forewarn has no such sink")
        return cursors
