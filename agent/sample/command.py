"""`forewarn sample`: point it at a broker, get a configuration."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from pydantic import ValidationError

from agent import whole_file
from agent.config.broker_settings import Broker
from agent.config.gather import gather
from agent.config.wording import what_is_wrong
from agent.decode.topic import Pattern
from agent.errors import ConfigurationRefused
from agent.sample.guess import Guesses, guesses_of
from agent.sample.listen import Listener
from agent.sample.report import as_object, configuration, table, totals, unread_lines
from agent.values.durations import parse_duration

FAILED = 1
SPAN_S_MAX = 3600.0
FILES = ("password_file", "ca_file", "cert_file", "key_file")  # keys of [broker]: paths from the folder of their file


def _span_s(_: click.Context, __: click.Parameter, text: str) -> float:
    try:
        span_s = parse_duration(text).total_seconds()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not 1 <= span_s <= SPAN_S_MAX:
        raise click.BadParameter("must be from 1s to 1h")
    return span_s


def _filters(_: click.Context, __: click.Parameter, topics: tuple[str, ...]) -> tuple[str, ...]:
    for topic in topics:
        try:
            Pattern.parse(topic)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        if topic.startswith("$"):
            raise click.BadParameter(f"{topic}: what begins with $ are the broker's own topics")
    return topics


@click.command(short_help="Look at a broker, and print a configuration that reads it.")
@click.argument("broker", default="")
@click.option(
    "--topic",
    "topics",
    multiple=True,
    default=("#",),
    callback=_filters,
    show_default=True,
    help="Topic filter; may be given several times.",
)
@click.option("--for", "span_s", default="20s", callback=_span_s, show_default=True, help="How long to listen.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="Take [broker] from this file.")
@click.option(
    "--ask", "asks", is_flag=True, help="Ask Sparkplug edge nodes for their births. Nothing else is ever published."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: what arrives, and the configuration.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the configuration to a new file.")
def sample(
    broker: str,
    topics: tuple[str, ...],
    span_s: float,
    file: Path | None,
    asks: bool,
    as_json: bool,
    out: Path | None,
) -> None:
    """\b
    forewarn sample mqtt://10.0.0.5:1883 --for 30s --out forewarn.toml

    Listen to BROKER for a while, show what arrives, and print a configuration that reads it: topics, the form of
    payloads, devices, channels, times and how often they come, each with the reason. `forewarn check` accepts it as
    it is. What cannot be read is listed with its reason. BROKER is a name, an address or a URL (mqtt://, mqtts://);
    user name, password and certificates stand in the [broker] of a file. Nothing is published but with --ask.
    Exit code 1 where nothing was heard, or nothing of it can be read.
    """  # fmt: skip
    settings = _broker(broker, file)
    if out is not None and out.exists():
        raise click.UsageError(f"{out} is there already: it is not overwritten")
    listener = Listener(settings, topics, asks_for_births=asks)
    where = f"{settings.host}:{settings.port}"
    click.echo(f"listening to {where} for {span_s:g} s; Ctrl-C ends it sooner", err=True)
    heard_s = listener.listen(span_s)
    for topic, why in listener.refused.items():
        click.echo(f"{topic}: the broker refuses the subscription: {why}. Its ACL must allow it.", err=True)
    if listener.ended:
        click.echo(f"{listener.ended}; what came before is used", err=True)
    if not listener.traffic.n_messages:
        click.echo(_nothing(where, topics), err=True)
        sys.exit(FAILED)
    guesses = guesses_of(listener.traffic, heard_s)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    about = f"Made by `forewarn sample` from {heard_s:.0f} s of {where}, {date}."
    text = configuration(_set_keys(settings), guesses, about) if guesses.sources else ""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(as_object(listener.traffic, guesses, heard_s, text))))
    else:
        _show(guesses, totals(listener.traffic, heard_s), heard_s)
    if out is not None and text:
        whole_file.write(out, text.encode())
        click.echo(f"{out} is written: `forewarn check {out}`", err=True)
    elif not as_json:
        click.echo(text, nl=False)
    sys.exit(0 if guesses.sources else FAILED)


def _show(guesses: Guesses, said: str, heard_s: float) -> None:
    click.echo(said, err=True)
    if guesses.sources:
        click.echo(table(guesses, heard_s), err=True)
    for line in unread_lines(guesses):
        click.echo(f"unread: {line}", err=True)


def _nothing(where: str, topics: tuple[str, ...]) -> str:
    return (
        f"{where}: nothing was heard on {', '.join(topics)}\n"
        "  Does somebody publish now? Listen longer: --for 5m. Is it the right broker? Is the topic right, upper and\n"
        "  lower case too? May this user read it: a broker's ACL hides what a user may not read, without a word."
    )


def _broker(text: str, file: Path | None) -> Broker:
    """The broker of the command line, with what [broker] of a file says. Raises ConfigurationRefused."""
    values: dict[str, Any] = {}
    if file is not None:
        gathered = gather(file)
        if gathered.problems:
            raise ConfigurationRefused(file, str(gathered.problems[0]), next_step="Only its [broker] is needed.")
        found = gathered.tables.get("broker", {})
        values = {**found} if isinstance(found, dict) else {}
        values |= {key: (file.parent / values[key]).absolute() for key in FILES if isinstance(values.get(key), str)}
    if text:
        values = {key: value for key, value in values.items() if key not in ("host", "port")} | _address(text)
    try:
        return Broker.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigurationRefused(file or "BROKER", f"{key}: {what_is_wrong(first)}".removeprefix(": "),
                                   next_step="As in mqtt://10.0.0.5:1883") from None  # fmt: skip


def _address(text: str) -> dict[str, Any]:
    """`host`, `host:port` or a URL as keys of [broker]."""
    name, colon, port = text.rpartition(":")
    if "://" not in text and colon and ":" not in name and port.isdecimal():
        return {"host": name, "port": int(port)}
    return {"host": text}


def _set_keys(broker: Broker) -> dict[str, Any]:
    """The keys of [broker] that were given, as a file has them."""
    given = broker.model_dump(mode="json", exclude_unset=True, exclude_defaults=True)
    kept = {key: value for key, value in given.items() if key not in ("keepalive", "connect_timeout")}
    return {"host": broker.host, **kept}
