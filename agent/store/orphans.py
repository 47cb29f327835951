"""What a state directory knows of sources and models that would no longer run, before an agent starts on it."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from agent.config.commands import COMMANDS
from agent.core.snapshot import digests_of_models, read_header
from agent.errors import SnapshotRefused
from agent.store import file, snapshot
from agent.store.alert_table import AlertTable
from agent.store.disk import StateFolder
from agent.store.outbox import ALERT_TABLE
from agent.words import OF_NO_MODEL

DEVICES_SHOWN = 5


def orphans(
    folder: Path, sources: Collection[str], models: Mapping[str, Collection[str]], unread: Collection[str]
) -> Iterator[tuple[str, str]]:
    """The kind of what is gone, `source` or `model`, and a sentence each; nothing where there is no state.

    sources  names of those that would be read
    models   by name, those that would run: the names of the sources that each reads
    unread   names of sources that the configuration has and no model reads

    Raises StateRefused for an alert table that cannot be read.
    """

    for kind, name, what in _lost(folder, sources, models):
        if kind == "source" and name in unread:
            yield kind, f"no model reads source {name!r} any more: {what}"
        elif name in models:
            yield kind, f"model {name!r} {what}"
        else:
            yield kind, f"no {kind} is named {name!r} any more: {what}"


def _lost(
    folder: Path, sources: Collection[str], models: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str, str]]:
    """Kind and name of what is gone, and what becomes of its alerts and states."""
    yield from _alerts_that_end(folder, sources, models)
    try:
        disk = StateFolder(folder)
        newest = next(iter(snapshot.newest_first(disk)), None)
        if newest is None:
            return
        header = read_header(file.read(disk, newest))
    except (OSError, file.Corrupt, SnapshotRefused):  # `run` sets such a file aside and says so
        return
    for source in header.sources:
        if source not in sources and not source.startswith(COMMANDS):
            what = "its devices keep their states until a row of another source names them, or they are forgotten"
            yield "source", source, what
    for model in digests_of_models(header):
        if model not in models:
            yield "model", model, "its states are lost, and a model of another name starts without any"


def _alerts_that_end(
    folder: Path, sources: Collection[str], models: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str, str]]:
    if not (folder / ALERT_TABLE).exists():
        return
    table = AlertTable(folder / ALERT_TABLE)
    try:
        rows = table.poll()
    finally:
        table.close()
    devices: dict[tuple[str, str, str], list[str]] = {}  # by kind and name of what is gone, and what else to say of it
    for event in rows.standing() if rows else []:
        if event.source not in sources:
            devices.setdefault(("source", event.source, ""), []).append(event.device)
        elif event.model not in models and event.head not in OF_NO_MODEL:
            devices.setdefault(("model", event.model, ""), []).append(event.device)
        elif event.head not in OF_NO_MODEL and event.source not in models[event.model]:
            unread = f"does not read source {event.source!r} any more: "
            devices.setdefault(("model", event.model, unread), []).append(event.device)
    for (kind, name, before), ids in devices.items():
        shown = ", ".join(ids[:DEVICES_SHOWN]) + (", ..." if len(ids) > DEVICES_SHOWN else "")
        alerts = "1 standing alert" if len(ids) == 1 else f"{len(ids)} standing alerts"
        yield kind, name, f"{before}{alerts} ({shown}) will end with the cause {kind}_removed"
