"""Structured logs on standard error: for a person on a terminal, one JSON object a line elsewhere."""

import math
import os
import select
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from heapq import nlargest

import structlog
from structlog.typing import FilteringBoundLogger

from agent.judge.no_model import numbers
from agent.judge.threshold import Chosen, verdict
from agent.reasons import REASONS, ReasonName
from agent.words import OF_NO_MODEL, AlertEvent, Drop, DropCounts, Request, Shed

READER_PATIENCE_S = 0.1
PIPE_BYTES = select.PIPE_BUF  # so much can be written without waiting, when anything can
DROP_EVERY_S = 10.0
PLANNED_EVERY_S = 3600.0
SHED_AFTER_S = 1.0
SHED_DEVICES_MAX, SHED_SAID_MAX = 1000, 5
TEXT_MAX = 120


def configure() -> FilteringBoundLogger:
    """The logger of this process."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=lambda *_: STDERR,
    )
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


class Sink:
    """Writes lines to a descriptor without ever waiting long for its reader.

    A line that cannot be written, to a full disk, a closed pipe or one whose reader hangs, is left out and counted in
    `lost`. A reader that hangs is waited for once, READER_PATIENCE_S, and not again until it reads.
    """

    def __init__(self, descriptor: int) -> None:
        self.lost = 0  # lines
        self.info = self.warning = self.error = self.write
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._patience_s = READER_PATIENCE_S
        self._is_torn = False  # a piece of a line stands there without its end

    def write(self, line: str) -> None:
        data = f"{line}\n".encode(errors="backslashreplace")
        if self._is_torn:
            data = b"\n" + data
        written = 0
        with suppress(OSError):
            while written < len(data) and self._poll.poll(self._patience_s * 1000):
                written += os.write(self._descriptor, data[written : written + PIPE_BYTES])
        is_whole = written == len(data)
        self.lost += not is_whole
        self._is_torn = not is_whole and (self._is_torn or written > 0)
        self._patience_s = READER_PATIENCE_S if is_whole else 0.0


STDERR = Sink(2)


def say_threshold(log: FilteringBoundLogger, model: str, head: str, budget: str, chosen: Chosen) -> None:
    """What the budget comes to: a warning where nothing recorded was warned of, since nothing may ever be."""
    say = log.warning if chosen.warns_of_nothing or chosen.stands_too_long else log.info
    say(
        "threshold_chosen",
        model=model,
        head=head,
        budget=budget,
        threshold=chosen.threshold,
        extrapolated=chosen.extrapolated,
        calibration=verdict(chosen),
    )


def say_alert(log: FilteringBoundLogger, event: AlertEvent, *, has_models: bool) -> None:
    """A step in the life of an alert; of a whole source it names no device, and of one model alone no model."""
    named = {"source": event.source, "severity": event.severity}
    if event.device:
        named["device"] = event.device
    if has_models and event.model:
        named["model"] = event.model
    outputs = event.outputs.get(event.head, ())
    judged = numbers(event) if event.head in OF_NO_MODEL else {event.head: outputs}
    group = {"group": event.group} if event.group else {}
    by = {"by": escaped(event.by)} if event.by else {}
    say = log.warning if event.kind in ("raised", "updated", "recurred") else log.info
    say(f"alert_{event.kind}", **named, **judged, **group, **by, id=event.alert)


class DropLog:
    """At most one line a source and reason in DROP_EVERY_S, with how many there were since the last one; of what is as
    planned a note in PLANNED_EVERY_S.

    The count may be of many devices, so the newest one is called an example; `detail` is of that one.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._due_s: dict[tuple[str, ReasonName], float] = {}
        self._logged: DropCounts = Counter()
        self._samples: dict[tuple[str, ReasonName], tuple[Drop, DropCounts]] = {}

    def hear(self, drops: Iterable[Drop], counts: DropCounts) -> None:
        """Keep samples of what has come. `counts` are totals, to be looked at when there is something to say."""
        for drop in drops:
            self._samples[drop.source, drop.reason] = (drop, counts)

    def say(self, now_s: float) -> None:
        """Log what is due; now_s is monotonic."""
        for key in [key for key in self._samples if now_s >= self._due_s.get(key, now_s)]:
            drop, counts = self._samples.pop(key)
            reason = REASONS[drop.reason]
            say = self._log.info if reason.is_planned else self._log.warning
            say(
                "reading_doubtful" if reason.is_used else "reading_dropped",
                source=drop.source,
                reason=drop.reason,
                count=counts[key] - self._logged[key],
                example_device=escaped(drop.device),
                example_topic=escaped(drop.topic),
                detail=escaped(drop.detail),
                next_step=reason.next_step,
            )
            self._logged[key] = counts[key]
            self._due_s[key] = now_s + (PLANNED_EVERY_S if reason.is_planned else DROP_EVERY_S)


class UndecodableLog:
    """One line when a source goes over its bound, and one when it is back below half of it."""

    def __init__(self, log: FilteringBoundLogger, share_max: float) -> None:
        self._log = log
        self._share_max = share_max
        self._over: set[str] = set()

    def hear(self, shares: Mapping[str, float]) -> dict[str, float]:
        """The sources over the bound, by the share of their newest messages that cannot be read; says what changed."""
        for source, share in shares.items():
            if source not in self._over and share > self._share_max:
                self._over.add(source)
                self._log.warning(
                    "source_undecodable",
                    source=source,
                    share=round(share, 3),
                    next_step="Does its codec fit? Do its topics bring other messages too? `drops` has the reasons.",
                )
            elif source in self._over and share <= self._share_max / 2:
                self._over.remove(source)
                self._log.info("source_decodable", source=source, share=round(share, 3))
        return {source: round(shares[source], 3) for source in sorted(self._over)}


class UnheardLog:
    """One line for a source of which nothing is ever read while others are heard.

    Where nothing at all comes, the input says so.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._said: set[str] = set()

    def hear(self, unheard: Iterable[str], *, has_others: bool) -> list[str]:
        """All of them; says which are new, where anything was heard of others."""
        for source in unheard:
            if has_others and source not in self._said:
                self._said.add(source)
                next_step = "Do devices publish there, and does the broker's ACL let the agent read?"
                self._log.warning("source_unheard", source=source, next_step=next_step)
        return [*unheard]


class ShedLog:
    """One line in DROP_EVERY_S for each of the devices that lost the most rows, with how fast its rows came."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._since_s = self._due_s = -math.inf
        self._shed: dict[tuple[str, str], tuple[str, int, int]] = {}  # of a device: topic, rows, rows shed since then

    def hear(self, shed: Iterable[Shed], now_s: float) -> None:
        """Add up; a rate needs a while, so nothing is said within SHED_AFTER_S of the first one. now_s is monotonic."""
        for rows in shed:
            if not self._shed:
                self._since_s, self._due_s = now_s, max(self._due_s, now_s + SHED_AFTER_S)
            key = (rows.source, rows.device)
            if key in self._shed or len(self._shed) < SHED_DEVICES_MAX:
                _, n_rows, n_shed = self._shed.get(key, ("", 0, 0))
                self._shed[key] = (rows.topic, n_rows + rows.n_rows, n_shed + rows.n_shed)

    def say(self, now_s: float) -> None:
        """Log what is due; now_s is monotonic."""
        if not self._shed or now_s < self._due_s:
            return
        for (source, device), (topic, n_rows, n_shed) in nlargest(SHED_SAID_MAX, self._shed.items(), key=_n_shed):
            self._log.warning(
                "device_shed",
                source=source,
                device=escaped(device),
                topic=escaped(topic),
                rows_per_s=round(n_rows / (now_s - self._since_s), 1),
                shed=n_shed,
                next_step="More waited of it than may. Is its cadence right? If so, raise agent.rows_per_device_max.",
            )
        self._shed.clear()
        self._due_s = now_s + DROP_EVERY_S


class RequestLog:
    """At most one line a source in DROP_EVERY_S, with how many requests there were since the last one."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._due_s: dict[str, float] = {}
        self._requests: dict[str, tuple[str, int]] = {}  # of a source: the newest topic, how many

    def hear(self, requests: Iterable[Request]) -> None:
        """Count what goes to the devices of a source."""
        for source, topic, _ in requests:
            self._requests[source] = (topic, self._requests.get(source, ("", 0))[1] + 1)

    def say(self, now_s: float) -> None:
        """Log what is due; now_s is monotonic."""
        for source in [source for source in self._requests if now_s >= self._due_s.get(source, now_s)]:
            topic, count = self._requests.pop(source)
            next_step = "Nothing, at a start or after a loss. If it goes on: may the agent publish there?"
            self._log.info("rebirth_requested", source=source, topic=escaped(topic), count=count, next_step=next_step)
            self._due_s[source] = now_s + DROP_EVERY_S


def _n_shed(item: tuple[tuple[str, str], tuple[str, int, int]]) -> int:
    return item[1][2]


def escaped(text: str) -> str:
    """Without control characters, and not longer than a line: cut between words, where it has some."""
    whole = text.encode("unicode_escape", "backslashreplace").decode("ascii")
    if len(whole) <= TEXT_MAX:
        return whole
    cut = whole[: TEXT_MAX - 4]
    return f"{cut.rpartition(' ')[0] or cut} ..."
