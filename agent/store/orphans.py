"""What a state directory knows of sources and models that would no longer run, before an agent starts on it."""

from collections.abc import Collection, Iterator
from pathlib import Path

from agent.core.snapshot import OF_MODELS, Header, read_header
from agent.errors import SnapshotRefused
from agent.store import file, snapshot
from agent.store.alert_table import AlertTable
from agent.store.outbox import ALERT_TABLE

DEVICES_SHOWN = 5


def orphans(
    folder: Path, sources: Collection[str], models: Collection[str], unread: Collection[str]
) -> Iterator[tuple[str, str]]:
    """The kind of what is gone, `source` or `model`, and a sentence each; nothing where there is no state.

    sources, models  names of what would run
    unread           names of sources that the configuration has and no model reads

    Raises StateRefused for an alert table that cannot be read.
    """

    def gone(kind: str, name: str) -> str:
        is_unread = kind == "source" and name in unread
        return f"no model reads source {name!r} any more" if is_unread else f"no {kind} is named {name!r} any more"

    for kind, name, what in _lost(folder, sources, models):
        yield kind, f"{gone(kind, name)}: {what}"


def _lost(folder: Path, sources: Collection[str], models: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Kind and name of what is gone, and what becomes of its alerts and states."""
    yield from _alerts_that_end(folder, sources, models)
    newest = snapshot.newest(folder)
    if newest is None:
        return
    try:
        header = read_header(file.read(newest))
    except (OSError, file.Corrupt, SnapshotRefused):  # `run` sets such a file aside and says so
        return
    for source in header.sources:
        if source not in sources:
            what = "its devices keep their states until a row of another source names them, or they are forgotten"
            yield "source", source, what
    for model in _models(header):
        if model not in models:
            yield "model", model, "its states are lost, and a model of another name starts without any"


def _models(header: Header) -> list[str]:
    """Names of the models whose groups a snapshot has."""
    of_models = (group.name.removeprefix(OF_MODELS) for group in header.groups if group.name.startswith(OF_MODELS))
    return list(dict.fromkeys(name.partition("/")[0] for name in of_models))


def _alerts_that_end(folder: Path, sources: Collection[str], models: Collection[str]) -> Iterator[tuple[str, str, str]]:
    if not (folder / ALERT_TABLE).exists():
        return
    table = AlertTable(folder / ALERT_TABLE)
    try:
        rows = table.poll()
    finally:
        table.close()
    devices: dict[tuple[str, str], list[str]] = {}
    for event in rows.standing() if rows else []:
        if event.source not in sources:
            devices.setdefault(("source", event.source), []).append(event.device)
        elif event.model not in models:
            devices.setdefault(("model", event.model), []).append(event.device)
    for (kind, name), ids in devices.items():
        shown = ", ".join(ids[:DEVICES_SHOWN]) + (", ..." if len(ids) > DEVICES_SHOWN else "")
        alerts = "1 standing alert" if len(ids) == 1 else f"{len(ids)} standing alerts"
        yield kind, name, f"{alerts} ({shown}) will end with the cause {kind}_removed"
