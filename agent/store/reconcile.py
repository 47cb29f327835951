"""A start whose state and alert table need not agree: life cycles come from the table, states from a snapshot.

So it is at every start in `snapshot` mode, and in `journal` mode when the journal does not lead from the snapshot to
the table: it was not kept, a part of it is lost, or the rules have changed since.
"""

from pathlib import Path
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from agent.core import Core
from agent.core.core import NO_SUCH_MODEL
from agent.core.entries import AlertsKept, HistoryLost, InterventionsKept, StateBehind
from agent.errors import StateRefused
from agent.store import snapshot
from agent.store.outbox import ALERT_TABLE, Outbox
from agent.store.state_directory import StateDirectory
from agent.words import AlertEvent

RECONCILE = "reconcile"  # while this file is there, a start in `journal` mode is one of these too


class Restored(NamedTuple):
    """A snapshot, None for none; whether another one was set aside for it, and whether nothing was done after it."""

    name: str | None
    was_refused: bool
    is_clean: bool


def restore(directory: StateDirectory) -> Restored:
    """Let the core take the newest good snapshot. Raises StateRefused when the disk fails."""
    core, log = directory.core, directory.log

    def into(data: bytes) -> None:
        for model, why in core.restore(data).items():
            if why == NO_SUCH_MODEL:  # it has none to lose
                log.info("model_added", model=model, why=why, next_step="Its devices warm up.")
            else:
                log.warning("model_state_lost", model=model, why=why, next_step="Its devices warm up again.")

    restored, refused = snapshot.restore(directory.disk, into)
    for one in refused:
        next_step = "The next older one is taken; without one devices warm up again, and say so."
        log.error("snapshot_set_aside", kept=str(one.aside), why=one.why, next_step=next_step)
    last = snapshot.take_last(directory.disk)
    return Restored(restored, bool(refused), is_clean=not refused and restored == last)


def reconcile(directory: StateDirectory, *, is_behind: bool, is_lost: bool, has_journal: bool = False) -> bool:
    """Let the core and the table agree, by the entries that say what is known. Returns whether alerts were ended.

    is_behind  rows may have been stepped after what was restored
    is_lost    rows may have passed while nobody listened

    Raises StateRefused when they do not agree after all.
    """
    core, outbox = directory.core, directory.outbox
    _repeat_interventions(core, outbox)
    if is_behind:
        core.apply(StateBehind())
    has_ended = take_alerts(directory, core.entry + 1 if has_journal else None)
    if is_lost:
        core.apply(HistoryLost())
    n_core, n_table = core.view().n_standing(), len(outbox.standing())
    if n_core != n_table:
        what = f"{n_table} alerts stand in it, {n_core} in the restored state"
        raise disagreement(directory.disk.folder, what)
    return has_ended


def take_alerts(directory: StateDirectory, applied: int | None) -> bool:
    """Let the core take what stands from the table, as one entry. Returns whether alerts were ended: nobody has them.

    applied  see Outbox.commit
    """
    core, outbox, log = directory.core, directory.outbox, directory.log
    standing, newest, hides = outbox.standing(), outbox.newest(), outbox.hides()
    view = core.view()
    n_alerts, n_hides = view.n_standing(), view.n_hidden
    if (n_alerts and not (standing or newest)) or (  # an ended alert would still have its row, an ended hide has none
        outbox.is_new and (n_alerts > len(standing) or n_hides > len(hides))
    ):
        what = (
            f"the state knows {n_alerts} standing alerts and {n_hides} hides, "
            f"the table has {len(standing)} and {len(hides)}"
        )
        next_step = "A fault that still shows is raised anew. Hide again what is to be: `forewarn alerts shelve`, ..."
        log.error("alert_table_lost", why=what, next_step=next_step)
    adopted = core.apply(AlertsKept(standing, newest, hides))
    outbox.commit(adopted.alerts, forgotten=adopted.forgotten, applied=applied, hidden=adopted.hides)
    if adopted.hides:
        log.warning("hides_ended", count=len(adopted.hides), why="their source or their model was removed")
    for event in adopted.alerts:
        _say_end(log, event)
    return bool(adopted.alerts)


def disagreement(folder: Path, what: str) -> StateRefused:
    """Core and table say different things, and nobody knows which is right."""
    next_step = "This is a fault of forewarn: please report it with a copy of the folder."
    return StateRefused(folder / ALERT_TABLE, what, next_step=next_step)


def _repeat_interventions(core: Core, outbox: Outbox) -> None:
    """What was done to machines after the snapshot is in the table with the ends of their alerts: do it again."""
    entry = core.entry
    labels = outbox.interventions_from(entry)
    if labels:
        core.apply(InterventionsKept(labels))
        outbox.renumber_interventions(entry)


def _say_end(log: FilteringBoundLogger, event: AlertEvent) -> None:
    is_of_model = event.cause == "model_removed"
    why = "its model was removed" if is_of_model else "its source was removed, or no model reads it any more"
    log.warning("alert_cleared", device=event.device, source=event.source, model=event.model, why=why)
