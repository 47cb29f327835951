"""`forewarn alerts`: what stands, and each change as it happens, from the state directory."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from agent.bundle.head_risk import risk_by_horizon
from agent.bundle.heads import HEADS
from agent.config.option import config_option, state_dir_of, state_dir_option
from agent.errors import StateRefused
from agent.judge.no_model import NO_MODEL
from agent.publish import message
from agent.readable import printable
from agent.store.alert_table import AlertTable, Rows
from agent.store.hides import read_hides
from agent.store.outbox import ALERT_TABLE
from agent.words import FLOOD, MAIN_MODEL, SILENCE, AlertEvent, AlertKey

POLL_S = 0.2
FLOOD_DEVICES_SHOWN = 3


@click.group(short_help="List the standing alerts, or watch them change.", invoke_without_command=True)
@config_option("The agent's main file, or the folder of a forewarn.toml: it says where the state directory is.")
@state_dir_option
@click.option("--watch", is_flag=True, help="Go on with each change as it happens, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of alerts; with --watch one object a line.")
@click.pass_context
def alerts(context: click.Context, file: Path, state_dir: Path | None, watch: bool, as_json: bool) -> None:
    """\b
    forewarn alerts --watch

    List the standing alerts from the agent's state directory, beside a running agent or without one. With --watch a
    terminal shows the list anew with each change; elsewhere each change is a line. An alert that was labelled good or
    bad says so.
    """
    if context.invoked_subcommand:  # which takes the same two options, and those that stand before its name
        named = {name: value for name, value in (("file", file), ("state_dir", state_dir)) if _is_given(context, name)}
        context.default_map = {context.invoked_subcommand: named}
        return
    path = state_dir_of(file, state_dir) / ALERT_TABLE
    with closing(AlertTable(path)) as table:
        if watch:
            with suppress(KeyboardInterrupt):
                _watch(table, as_json=as_json)
            return
        rows = table.poll()
    if rows is None:
        return
    standing = rows.standing()
    if as_json:
        listed = [_as_object(event) | {"label": rows.verdicts.get(event.alert, "")} for event in standing]
        click.echo(msgspec.json.format(msgspec.json.encode(listed)))
        return
    for event in standing:
        click.echo(_line(event, rows.verdicts))
    n_hidden = len(read_hides(path))
    hidden = f"; {n_hidden} hidden: `forewarn alerts hidden` lists them" if n_hidden else ""
    click.echo(f"{len(standing)} standing{hidden}", err=True)


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def changes(before: dict[AlertKey, AlertEvent] | None, rows: Rows) -> Iterator[tuple[str, AlertEvent]]:
    """What happened since `before`, the last event by key: (what, the event), in the order of its time.

    At the first look (None) what stands is `standing`. What happened twice between two looks is told once. An
    alert whose row has vanished is `gone`: its device was forgotten, or the table was begun anew.
    """
    if before is None:
        yield from (("standing", event) for event in rows.standing())
        return
    now = by_key(rows)
    gone = (event for key, event in before.items() if key not in now and event.state != "normal")
    yield from (("gone", event) for event in gone)
    new = (event for key, event in now.items() if key not in before or _step(before[key]) != _step(event))
    yield from ((event.kind, event) for event in sorted(new, key=lambda event: event.t_ns))


def by_key(rows: Rows) -> dict[AlertKey, AlertEvent]:
    return {event.key: event for event in rows.events}


def _step(event: AlertEvent) -> tuple[str, int]:
    return event.alert, event.sequence


def _watch(table: AlertTable, *, as_json: bool) -> None:
    before: dict[AlertKey, AlertEvent] | None = None
    is_list = sys.stdout.isatty() and not as_json
    warning = ""
    while True:
        try:
            rows = table.poll()
            warning = ""
        except StateRefused as error:  # not yet, or just being begun anew
            rows = None
            if error.what != warning:
                click.echo(f"{error.where}: {error.what}; waiting", err=True)
            warning = error.what
        if rows is not None and is_list:
            _show(rows)
        elif rows is not None:
            for change, event in changes(before, rows):
                click.echo(_json_line(change, event) if as_json else f"{change:<10}{_line(event, rows.verdicts)}")
            before = by_key(rows)
        time.sleep(POLL_S)


def _show(rows: Rows) -> None:
    standing = rows.standing()
    click.clear()
    for event in standing:
        click.echo(_line(event, rows.verdicts))
    click.echo(f"{len(standing)} standing; Ctrl-C ends")


def _line(event: AlertEvent, verdicts: Mapping[str, str]) -> str:
    says = _says(event)
    by = "" if event.model in (MAIN_MODEL, NO_MODEL) else f"  model {event.model}"
    label = f"  {verdicts[event.alert]}" if event.alert in verdicts else ""
    whose = f"{event.severity:<9}{printable(event.device) or 'all of its devices':<24} {event.source:<12}"
    return f"{whose} {says}  since {_since(event)}  {event.alert}{by}{_state(event)}{label}"


def _state(event: AlertEvent) -> str:
    """What has become of it, where that is worth a word."""
    if event.hidden is not None and event.state != "normal":
        until = f" until {message.time(event.hidden_until_ns, 's')}" if event.hidden_until_ns else ""
        return f"  {event.hidden}{until}"
    return "" if event.state in ("unacknowledged", "normal") else f"  {event.state}"


def _says(event: AlertEvent) -> str:
    """What its head said: the risk by horizon, or how far from normal the device is, and which channels make it so;
    or for how long nothing came, and what is usual.
    """
    if event.head == "risk":
        return "risk " + ", ".join(f"{horizon} {value:.2f}" for horizon, value in _risk(event).items())
    if event.head == SILENCE:
        return "silent for {:.0f} s, more than {:.0f} s".format(*event.outputs[SILENCE])
    if event.head == FLOOD:
        names = [*map(printable, event.devices[:FLOOD_DEVICES_SHOWN])]
        names += ["..."] if len(event.devices) > len(names) else []
        return f"flood of {event.outputs[FLOOD][0]:.0f} alerts: {', '.join(names)}"
    value = event.outputs.get("anomaly", ())
    shares = HEADS["contribution"].members(event.outputs.get("contribution", ()), event.bundle).get("contribution", [])
    texts = [(one["channel"], f"{one['share']:.2f}") for one in shares]
    by = ", ".join(f"{channel} {share}" for channel, share in texts if share != "0.00")
    return f"{event.head} {value[0] if value else 0:.3g}" + (f" by {by}" if by else "")


def _since(event: AlertEvent) -> str:
    at = message.time(event.raised_t_ns, event.bundle.time_unit)
    if event.bundle.time_unit == "unknown":
        return f"{at} (seconds or cycles: raised by an unknown bundle)"
    return f"cycle {at}" if event.bundle.time_unit == "cycle" else str(at)


def _risk(event: AlertEvent) -> dict[str, float]:
    return risk_by_horizon(event.outputs.get("risk", ()), event.decided_by or event.bundle)


def _json_line(change: str, event: AlertEvent) -> str:
    return msgspec.json.encode({"change": change} | _as_object(event)).decode()


def _as_object(event: AlertEvent) -> dict[str, Any]:
    """The event, with its times and horizons as people read them."""
    shown: dict[str, Any] = msgspec.to_builtins(event)
    shown |= dict.fromkeys(("risk", "rul"), ()) | shown.pop("outputs")
    if event.hidden is not None and event.state != "normal":
        shown["state"] = event.hidden  # as in the messages
    shown["horizons"] = list(_risk(event))
    shown["raised_t"] = message.time(event.raised_t_ns, event.bundle.time_unit)
    return shown
