"""What a state directory knows of sources and models that are no longer configured, before an agent starts on it."""

from collections.abc import Collection, Iterator
from pathlib import Path

from agent.core.snapshot import read_header
from agent.errors import SnapshotRefused
from agent.store import file, snapshot
from agent.store.alert_table import AlertTable
from agent.store.outbox import ALERT_TABLE

DEVICES_SHOWN = 5


def orphans(folder: Path, sources: Collection[str], models: Collection[str]) -> Iterator[tuple[str, str]]:
    """The kind of what is gone, `source` or `model`, and a sentence each; nothing where there is no state.

    Raises StateRefused for an alert table that cannot be read.
    """
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
            yield (
                "source",
                f"no source is named {source!r} any more: its devices keep their states until a row of another source "
                "names them, or they are forgotten",
            )


def _alerts_that_end(folder: Path, sources: Collection[str], models: Collection[str]) -> Iterator[tuple[str, str]]:
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
        yield kind, f"no {kind} is named {name!r} any more: {alerts} ({shown}) will end with the cause {kind}_removed"
