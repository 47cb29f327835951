"""`forewarn state`: what a state directory holds, whether all of it is good, and how it gets to another machine."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from agent.config.option import config_option, state_dir_of, state_dir_option
from agent.errors import StateRefused
from agent.state.archive import Manifest, export, take_over
from agent.state.contents import Contents, read_contents, sources_of
from agent.store.disk import StateFolder
from agent.store.forget import ask
from agent.store.lock import lock

_CONFIG = "The agent's main file, or the folder of a forewarn.toml: it says where the state directory is."


@click.group(short_help="Look into a state directory, check it, or move it to another machine.")
def state() -> None:
    """\b
    forewarn state inspect

    Look into the agent's state directory, check it, or move it to another machine.
    """


@state.command("inspect", short_help="Say what a state directory holds.")
@config_option(_CONFIG)
@state_dir_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def inspect_command(file: Path, state_dir: Path | None, as_json: bool) -> None:
    """\b
    forewarn state inspect --state-dir /var/lib/forewarn

    Say what the state directory holds: snapshots with their entry of the input log, time, devices by source and models;
    the journal with its entries; the alert table; what an agent has set aside, and what `import --replace` has. Beside
    a running agent or without one: nothing is written.
    """
    contents = read_contents(StateFolder(state_dir_of(file, state_dir)))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(contents)))
    else:
        click.echo("\n".join(map(_plain, _lines(contents))))


@state.command(short_help="Hold every file against its checksum; exit 1 if one is not good.")
@config_option(_CONFIG)
@state_dir_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array of files and faults.")
def verify(file: Path, state_dir: Path | None, as_json: bool) -> None:
    """\b
    forewarn state verify

    Read every snapshot, every record of the journal and every row of the alert table, hold them against their
    checksums, and print what is not good; exit 1 if something is. What was written last before a power cut, and was
    not synced, is no fault: a start cuts it off.
    """
    faults = [*read_contents(StateFolder(state_dir_of(file, state_dir))).faults()]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode([{"file": name, "fault": why} for name, why in faults])))
    else:
        for name, why in faults:
            click.echo(_plain(f"{name}: {why}"), err=True)
        if not faults:
            click.echo("all good")
    sys.exit(1 if faults else 0)


@state.command("export", short_help="Write a state directory into one file.")
@config_option(_CONFIG)
@state_dir_option
@click.option("--replace", is_flag=True, help="Where there is such a file already: write the new one in its place.")
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
def export_command(file: Path, state_dir: Path | None, replace: bool, archive: Path) -> None:
    """\b
    forewarn state export gateway-1.fws

    Write the newest good snapshot, the journal behind it and the alert table into one file, that another machine can
    import. Stop the agent first to move it: then nothing is missing. Beside a running one the file is a backup, of what
    a crash at this moment would leave.
    """
    folder = state_dir_of(file, state_dir)
    click.echo(f"{archive}: {_said(export(folder, archive, replace=replace))}")
    _warn(folder)


@state.command("import", short_help="Make a state directory of what `export` wrote.")
@config_option(_CONFIG)
@state_dir_option
@click.option("--replace", is_flag=True, help="Where there is a state already: keep it in a folder beside, unused.")
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
def import_command(file: Path, state_dir: Path | None, replace: bool, archive: Path) -> None:
    """\b
    forewarn state import gateway-1.fws

    Make the state directory what the file holds, once it was held against its checksums. An agent must not run with it
    meanwhile. Run the command as the agent's user, or give the files to that one.
    """
    folder = state_dir_of(file, state_dir)
    click.echo(f"{folder}: {_said(take_over(archive, folder, replace=replace))}")
    _warn(folder)


@state.command("forget", short_help="Have the next start know a device no more.")
@config_option(_CONFIG)
@state_dir_option
@click.option("--source", default="", help="Source of the device; needed where several have it, or no snapshot has it.")
@click.argument("device")
def forget_command(file: Path, state_dir: Path | None, source: str, device: str) -> None:
    """\b
    forewarn state forget press-7

    Have the next start forget DEVICE, with its state and its clock: its alerts end with the cause `forgotten`, which is
    published, what hides them ends too, and heard again it starts as a new one. An agent must not run with the
    directory meanwhile. Run the command as the agent's user.
    """
    folder = state_dir_of(file, state_dir)
    sources = sources_of(StateFolder(folder), device)
    if not source and len(sources) != 1:
        what = f"has {'several devices' if sources else 'no device'} {device!r} in its newest snapshot"
        one_of = f"Give --source: one of {', '.join(sources)}."
        is_new = "Is it spelt as in its messages? Give --source for one that was heard after the snapshot."
        raise StateRefused(folder, what, next_step=one_of if sources else is_new)
    key = source or sources[0], device
    with lock(folder, next_step="Stop the agent first."):
        ask(StateFolder(folder), key)
    click.echo(f"{key[0]}/{key[1]} is forgotten at the next start")


def _warn(folder: Path) -> None:
    """Of what is not good in the state directory: a start takes what it can of it, and so do export and import."""
    for name, fault in read_contents(StateFolder(folder)).faults():
        click.echo(_plain(f"warning: {name}: {fault}. What it had is missing: devices will say gap."), err=True)


def _said(manifest: Manifest) -> str:
    models = ", ".join(f"{name} {digest[:12]}" for name, digest in manifest.models.items()) or "none"
    return _plain(f"{len(manifest.digests)} files, of {manifest.made} on {manifest.machine}; models: {models}")


def _plain(text: str) -> str:
    """For a terminal: what files say that others wrote has no control characters."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _lines(contents: Contents) -> Iterator[str]:
    yield contents.folder
    if not contents.snapshots:
        yield "no snapshot yet"
    for snapshot in contents.snapshots:
        yield f"{snapshot.name}  {snapshot.size_bytes:,} bytes" + (f": {snapshot.fault}" if snapshot.fault else "")
        if not snapshot.fault:
            yield f"  entry {snapshot.entry}, {snapshot.n_messages} messages, log time {snapshot.log_time or 'none'}"
            devices = ", ".join(f"{name or '(no source)'} {count}" for name, count in snapshot.devices.items())
            yield f"  devices: {devices or 'none'}"
            for name, digest in snapshot.models.items():
                yield f"  model {name}: bundle {digest[:12]}, numerics {snapshot.numerics.get(name, 'not said')}"
    for part in contents.journal:
        torn = f", {part.torn_bytes:,} bytes torn at its end" if part.torn_bytes else ""
        n_entries = part.next_entry - part.entry
        entries = (
            f"entries {part.entry} to {part.next_entry - 1}" if n_entries else f"no entry yet from {part.entry} on"
        )
        what = part.fault or f"{entries}{torn}"
        yield f"{part.name}  {part.size_bytes:,} bytes: {what}"
    table = contents.alert_table
    if table is not None:
        due = ", ".join(f"{sink} {count}" for sink, count in table.due.items()) or "none"
        up_to = f"; up to entry {table.applied} of the journal" if table.applied else ""
        what = table.fault or (
            f"alerts: {table.standing} standing, {table.ended} ended, {table.history} in the history; "
            f"events to publish: {due}{up_to}; schema {table.schema_version}"
        )
        yield f"{table.name}  {table.size_bytes:,} bytes: {what}"
    for other in contents.others:
        yield f"{other.name}  {other.size_bytes:,} bytes" + (f": {other.fault}" if other.fault else "")
    for name in contents.set_aside:
        yield f"{name}: set aside"
    for name in contents.replaced:
        yield f"{name}/: the state that an import has replaced; delete it when the new one is what you want"
