"""What a state directory knows of sources that the configuration no longer has, before an agent starts on it."""

from collections.abc import Collection, Iterator
from pathlib import Path

from agent.core.snapshot import read_header
from agent.errors import SnapshotRefused
from agent.store import file, snapshot
from agent.store.alert_table import AlertTable
from agent.store.outbox import ALERT_TABLE

DEVICES_SHOWN = 5


def orphans(folder: Path, sources: Collection[str]) -> Iterator[str]:
    """A sentence each. Raises StateRefused for an alert table that cannot be read; says nothing where there is none."""
    if (folder / ALERT_TABLE).exists():
        table = AlertTable(folder / ALERT_TABLE)
        try:
            rows = table.poll()
        finally:
            table.close()
        by_source: dict[str, list[str]] = {}
        for event in rows.standing() if rows else []:
            if event.source not in sources:
                by_source.setdefault(event.source, []).append(event.device)
        for source, devices in by_source.items():
            shown = ", ".join(devices[:DEVICES_SHOWN]) + (", ..." if len(devices) > DEVICES_SHOWN else "")
            alerts = "1 standing alert" if len(devices) == 1 else f"{len(devices)} standing alerts"
            yield f"no source is named {source!r} any more: {alerts} ({shown}) will end with the cause source_removed"
    newest = snapshot.newest(folder)
    if newest is None:
        return
    try:
        known = read_header(file.read(newest)).sources
    except (OSError, file.Corrupt, SnapshotRefused):  # `run` sets such a file aside and says so
        return
    for source in known:
        if source not in sources:
            yield (
                f"no source is named {source!r} any more: its devices keep their states until a row of another source "
                "names them, or they are forgotten"
            )
