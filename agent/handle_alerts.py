"""`forewarn alerts acknowledge | reset | shelve | unshelve` and, for whole devices, `suppress`, `out-of-service`, ...

Each tells a running agent by its broker, and waits for what the agent says came of it.
"""

import os
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from agent.config import load as config
from agent.config.commands import alert_topic
from agent.config.option import Utf8Text, config_option, owner_named, state_dir_option
from agent.config.settings import Settings
from agent.decode.alert_command import AlertCommandMessage
from agent.decode.command import NOTE_CHARS_MAX
from agent.decode.label_command import BY_CHARS_MAX
from agent.errors import ConfigurationRefused, ForewarnError
from agent.publish.command_client import send_command
from agent.publish.handled import HandledMessage
from agent.publish.topic import Topics
from agent.store.labelled_alerts import find_alert, read_labelled
from agent.store.outbox import ALERT_TABLE
from agent.values.durations import parse_duration
from agent.words import AlertAction

OF_ALERTS: Final[dict[AlertAction, tuple[str, str]]] = {
    "acknowledge": ("Say that somebody has seen an alert.", "It stands as `acknowledged` until its risk is low again."),
    "reset": ("End a latched alert.", "Only one whose risk is low again, with [alerts] latch = true."),
    "shelve": (
        "Hide an alert for a while.",
        "It comes back by itself; nothing of it is raised meanwhile.",
    ),
    "unshelve": ("Show a shelved alert again.", "One whose risk is still high has to be acknowledged again."),
}
OF_DEVICES: Final[dict[AlertAction, tuple[str, str]]] = {
    "suppress": ("Hide the alerts of a device: maintenance.", "Of all devices of a source where DEVICE is `*`."),
    "unsuppress": ("Show the alerts of a device again.", "What still shows is raised with the next row."),
    "out_of_service": ("Take a device out of service.", "Its alerts are hidden until it is in service again."),
    "in_service": ("Put it into service again.", "What still shows is raised with the next row."),
}
_TAKES_SPAN: Final = ("shelve", "suppress", "out_of_service")


def commands() -> list[click.Command]:
    """One for each action."""
    of_alerts = [_command(action, *texts, _act_on_alert, "ALERT") for action, texts in OF_ALERTS.items()]
    return of_alerts + [_command(action, *texts, _act_on_device, "DEVICE") for action, texts in OF_DEVICES.items()]


def _command(action: AlertAction, short: str, more: str, act: Callable[..., None], argument: str) -> click.Command:
    name, span = action.replace("_", "-"), " --for 8h" if action in _TAKES_SPAN else ""
    example = "3f0c91d2" if argument == "ALERT" else "press-7"
    whose = "ALERT is an id or its beginning. " if argument == "ALERT" else ""
    text = (
        f"\b\nforewarn alerts {name} {example}{span}\n\n{short} {more} {whose}The agent must have "
        f'"{action}" in [commands] alerts. Ends with 1 when no agent says within 5 s what came of it, or nothing did.'
    )

    def run(**given: Any) -> None:
        act(action, **given)

    params: list[click.Parameter] = [
        click.Argument(["whose"], metavar=argument, type=Utf8Text(may_be_empty=False)),
        click.Option(["--note"], type=Utf8Text(), default="", help="What is to be kept with it."),
        click.Option(["--by"], type=Utf8Text(), envvar="USER", default="", show_envvar=True, help="Who does it."),
    ]
    if action in _TAKES_SPAN:
        how_long = {"required": True} if action == "shelve" else {"default": ""}
        params.append(click.Option(["--for", "span"], help='How long: "90m", "8h", "2d".', **how_long))
    if argument == "DEVICE":
        params.append(click.Option(["--source"], default="", help="Whose device it is, where there are several."))
    made = click.Command(name, callback=run, params=params, help=text, short_help=short)
    made = config_option("The agent's main file, or the folder of a forewarn.toml.")(made)
    return state_dir_option(made) if argument == "ALERT" else made


def _act_on_alert(
    action: AlertAction, whose: str, note: str, by: str, file: Path, state_dir: Path | None, span: str = ""
) -> None:
    settings = _settings(action, file)
    folder = state_dir or settings.agent.state_dir
    event = find_alert(read_labelled(folder / ALERT_TABLE), whose, folder)
    message = AlertCommandMessage(event.device, event.alert, event.model, event.head, span, by, note)
    _send(settings, action, event.source, message)


def _act_on_device(
    action: AlertAction, whose: str, note: str, by: str, file: Path, source: str, span: str = ""
) -> None:
    settings = _settings(action, file)
    device = "" if whose == "*" else whose
    _send(
        settings, action, owner_named(settings, source).name, AlertCommandMessage(device, span=span, by=by, note=note)
    )


def _settings(action: AlertAction, file: Path) -> Settings:
    settings = config.load(file, os.environ)
    if action not in settings.commands.alerts:
        what = f"its agent does not take {action!r}"
        allowed = msgspec.json.encode([*settings.commands.alerts, action]).decode().replace(",", ", ")
        next_step = f"Say alerts = {allowed} under [commands], restart the agent, and see docs/alerts.md for who may."
        raise ConfigurationRefused(file, what, next_step=next_step)
    return settings


def _send(settings: Settings, action: AlertAction, source: str, message: AlertCommandMessage) -> None:
    for option, text, chars_max in (("--note", message.note, NOTE_CHARS_MAX), ("--by", message.by, BY_CHARS_MAX)):
        if len(text) > chars_max:
            raise click.UsageError(f"{option} has {len(text)} characters, at most {chars_max} are kept")
    try:
        is_time = parse_duration(message.span or "1s") > timedelta(0)
    except ValueError as error:
        raise click.UsageError(f"--for {error}") from None
    if not is_time:
        raise click.UsageError(f"--for {message.span} is no time at all")
    owner = next((one for one in settings.source if one.name == source), None)
    if owner is None:
        what = f"has no source {source!r} any more, whose alert it is"
        raise ConfigurationRefused("[[source]]", what, next_step="Commands go to the agent by the source of the alert.")
    message = msgspec.structs.replace(message, ref=secrets.token_hex(8))
    answer = send_command(
        settings,
        settings.broker_of(owner.broker),
        (alert_topic(settings.publish, settings.agent, action, source), msgspec.json.encode(message)),
        Topics.of(settings.publish.prefix, settings.agent.node).handled,
        HandledMessage,
        lambda said: said.ref == message.ref,
    )
    if answer.outcome in ("unknown", "refused"):
        what = f"{answer.outcome}: {answer.detail}"
        next_step = "`forewarn alerts` lists those that stand, `forewarn alerts hidden` what is hidden."
        raise ForewarnError(f"{action.replace('_', ' ')} {message.device or source}", what, next_step=next_step)
    until = f" until {answer.until}" if answer.until else ""
    detail = f"; {answer.detail}" if answer.detail else ""
    alerts = f": {', '.join(answer.alerts)}" if answer.alerts else ""
    click.echo(f"{action.replace('_', ' ')} {source}/{answer.device or '*'} {answer.outcome}{until}{alerts}{detail}")
