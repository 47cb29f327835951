"""`forewarn alerts label` and `forewarn alerts export`: what people say of alerts, and all of it as a table."""

import csv
import os
import sys
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Final, get_args

import click
import msgspec

from agent import whole_file
from agent.config import load as config
from agent.config.commands import label_topic
from agent.config.option import Utf8Text, config_option, state_dir_of, state_dir_option
from agent.config.settings import Settings
from agent.decode.command import NOTE_CHARS_MAX
from agent.decode.label_command import BY_CHARS_MAX, LabelCommand
from agent.errors import ConfigurationRefused
from agent.publish import message
from agent.publish.command_client import send_command
from agent.publish.label import LabelMessage
from agent.publish.topic import Topics
from agent.store.labelled_alerts import find_alert, read_labelled, unknown_alert
from agent.store.outbox import ALERT_TABLE
from agent.values.times import text_time_ns
from agent.words import OF_NO_MODEL, AlertEvent, LabelKind

COLUMNS: Final = (
    "alert", "source", "device", "model", "head", "bundle", "version", "digest",
    "raised", "cleared", "cause", "label", "note", "by", "at",
)  # fmt: skip


@click.command(short_help="Say that an alert was right, or a false alarm.")
@click.argument("alert", type=Utf8Text(may_be_empty=False))
@click.argument("label", type=click.Choice(get_args(LabelKind)))
@click.argument("note", type=Utf8Text(), default="")
@config_option("The agent's main file, or the folder of a forewarn.toml: it says which broker, node and user.")
@state_dir_option
@click.option("--by", type=Utf8Text(), envvar="USER", default="", show_envvar=True, help="Who says it.")
def label(alert: str, label: LabelKind, note: str, file: Path, state_dir: Path | None, by: str) -> None:
    """\b
    forewarn alerts label 3f0c91d2 bad "the sensor was wet"

    Tell the running agent what became of ALERT, an id or its beginning, standing or ended: `good` where something was
    wrong with the machine, `bad` for a false alarm, `note` for a remark. The agent keeps it for the trainer (`forewarn
    alerts export`); the alert goes on as it is. Of good and bad the later one counts. The agent must have [commands]
    labels = true. Ends with 1 when no agent says within 5 s that it knows.
    """
    for option, text, chars_max in (("NOTE", note, NOTE_CHARS_MAX), ("--by", by, BY_CHARS_MAX)):
        if len(text) > chars_max:
            raise click.UsageError(f"{option} has {len(text)} characters, at most {chars_max} are kept")
    if label == "note" and not note:
        raise click.UsageError("a note needs its text")
    settings = config.load(file, os.environ)
    if not settings.commands.labels:
        what = "its agent takes no labels"
        raise ConfigurationRefused(file, what, next_step="Set [commands] labels = true and restart it; see the docs.")
    folder = state_dir or settings.agent.state_dir
    event = find_alert(read_labelled(folder / ALERT_TABLE), alert, folder)
    said = _send(settings, event, LabelCommand(event.alert, label, datetime.now(UTC).isoformat(), note, by))
    if not said.is_known:  # it was the oldest, and went meanwhile
        raise unknown_alert(folder, alert, "the agent does not know it any more")
    click.echo(f"{event.alert} {label}: {event.source}/{event.device} {event.head}, raised {_raised(event)}")


def _send(settings: Settings, event: AlertEvent, command: LabelCommand) -> LabelMessage:
    """What the agent says of the label. Raises ForewarnError."""
    owner = next((source for source in settings.source if source.name == event.source), None)
    if owner is None:
        what = f"has no source {event.source!r} any more, whose alert it is"
        raise ConfigurationRefused("[[source]]", what, next_step="Labels go to the agent by the source of the alert.")
    t_ns = text_time_ns(command.t or "")
    return send_command(
        settings,
        settings.broker_of(owner.broker),
        (label_topic(settings.publish, settings.agent, owner.name), msgspec.json.encode(command)),
        Topics.of(settings.publish.prefix, settings.agent.node).label,
        LabelMessage,
        lambda said: (said.alert, said.label, said.t_ns) == (command.alert, command.label, t_ns),
    )


@click.command(short_help="Write all alerts, and what was said of them, as a table for the trainer.")
@click.option(
    "--labels",
    "table",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="CSV to write; - is stdout.",
)
@config_option("The agent's main file, or the folder of a forewarn.toml.")
@state_dir_option
def export(table: Path, file: Path, state_dir: Path | None) -> None:
    """\b
    forewarn alerts export --labels labels.csv

    Write every alert that the agent keeps, standing or ended, with its labels: a row a label, and one with an empty
    label for an alert without any. It reads the agent's state directory, beside a running agent or without one.
    `forewarn-train adapt` reads the table.
    """
    every = read_labelled(state_dir_of(file, state_dir) / ALERT_TABLE)
    kept = [one for one in every if one.event.head not in OF_NO_MODEL]  # a machine that says nothing need not be faulty
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in kept:
        of_alert = _of_alert(one.event)
        said = [[each.label, each.note, each.by, str(message.time(each.t_ns, "s"))] for each in one.labels]
        writer.writerows([*of_alert, *columns] for columns in said or [[""] * 4])
    try:
        if table == Path("-"):
            sys.stdout.buffer.write(text.getvalue().encode())
        else:
            whole_file.write(table, text.getvalue().encode())
    except OSError as error:
        what = str(error.strerror).lower()
        raise ConfigurationRefused(table, what, next_step="Give a file that can be written.") from None
    n_judged = sum(one.verdict is not None for one in kept)
    click.echo(f"{len(kept)} alerts, {n_judged} of them labelled good or bad", err=True)


def _of_alert(event: AlertEvent) -> list[object]:
    bundle, has_ended = event.bundle, event.state == "normal"
    whose = [event.alert, event.source, event.device, event.model, event.head]
    ended = [message.time(event.t_ns, bundle.time_unit), event.cause] if has_ended else ["", ""]
    return [*whose, bundle.name, bundle.version, bundle.digest, _raised(event), *ended]


def _raised(event: AlertEvent) -> message.Time:
    return message.time(event.raised_t_ns, event.bundle.time_unit)
