"""`forewarn alerts hidden`: whose alerts are hidden, why, until when and by whom; whether one stands or not."""

from pathlib import Path

import click
import msgspec

from agent.config.option import config_option, state_dir_of, state_dir_option
from agent.decode.command import NOTE_CHARS_MAX
from agent.publish import message
from agent.readable import printable
from agent.store.hides import read_hides
from agent.store.outbox import ALERT_TABLE
from agent.words import AlertKey, Hide


@click.command(short_help="List whose alerts are hidden, and until when.")
@config_option("The agent's main file, or the folder of a forewarn.toml: it says where the state directory is.")
@state_dir_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def hidden(file: Path, state_dir: Path | None, as_json: bool) -> None:
    """\b
    forewarn alerts hidden

    List what is shelved, suppressed and out of service, from the agent's state directory, beside a running agent or
    without one. Nothing is raised of it, whether an alert stands or not. `*` is any device, model or head.
    """
    kept = read_hides(state_dir_of(file, state_dir) / ALERT_TABLE)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode([_as_object(*one) for one in kept])))
        return
    for pattern, hide in kept:
        click.echo(_line(pattern, hide))
    click.echo(f"{len(kept)} hidden", err=True)


def _line(pattern: AlertKey, hide: Hide) -> str:
    source, device, model, head = map(printable, pattern)
    of_head = " ".join(name or "*" for name in (model, head)) if model or head else "all alerts"
    until = f"until {_time(hide.until_ns)}" if hide.until_ns else "until somebody ends it"
    by = f"  by {printable(hide.by)}" if hide.by else ""
    note = f"  {printable(hide.note, NOTE_CHARS_MAX)}" if hide.note else ""
    whose = f"{hide.kind:<15}{device or '*':<24} {source:<12} {of_head}"
    return f"{whose}  since {_time(hide.since_ns)}  {until}{by}{note}"


def _as_object(pattern: AlertKey, hide: Hide) -> dict[str, str | None]:
    source, device, model, head = pattern
    return {
        "hidden": hide.kind,
        "source": source,
        "device": device,
        "model": model,
        "head": head,
        "since": _time(hide.since_ns),
        "until": _time(hide.until_ns) if hide.until_ns else None,
        "by": hide.by,
        "note": hide.note,
    }


def _time(at_ns: int) -> str:
    return str(message.time(at_ns, "s"))
