"""`forewarn record`: what arrives, as files that `forewarn-train fit` and `forewarn replay` read."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from agent.config import load as config
from agent.config.option import config_option
from agent.config.quantity import parse_size
from agent.config.settings import Settings
from agent.errors import ForewarnError, StateRefused
from agent.log import configure
from agent.near import nearest
from agent.store.lock import lock
from agent.values.durations import parse_duration

Quantity = TypeVar("Quantity")


@click.command(short_help="Write what arrives to Parquet files.")
@config_option("The main file, or the folder of a forewarn.toml. It needs no [[model]].")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the recording; it is made.")
@click.option(
    "--for", "for_", default="", metavar="DURATION", help='How long, as "10m". [default: until it is stopped]'
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help="Record this source alone, with those that join it. May be given several times. [default: all]",
)
@click.option(
    "--flush-every",
    default="10s",
    show_default=True,
    metavar="DURATION",
    help="Rows are in a file after so long: at most so much is lost when the process is killed.",
)
@click.option(
    "--size-max",
    default="10GiB",
    show_default=True,
    metavar="SIZE",
    help="Of all files together; beyond it the oldest are removed, and that is said.",
)
@click.option(
    "--ask",
    is_flag=True,
    help="Ask Sparkplug edge nodes for their births. Nothing else is ever published, and without it nothing at all.",
)
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
def record(
    file: Path,
    out: Path,
    for_: str,
    sources: tuple[str, ...],
    flush_every: str,
    size_max: str,
    ask: bool,
    as_json: bool,
) -> None:
    """\b
    forewarn record --config forewarn.toml --out recording --for 24h
    forewarn-train fit table.toml --data recording

    Read what the agent would read, from every broker and by every codec of the configuration, and write its rows as the
    models would be given them: OUT/SOURCE/DAY.*.parquet with columns device, t and the channels, and interventions in
    OUT/interventions.csv. A row is in a file --flush-every after it came, and every file can be read at any moment.
    Started again on a folder, it goes on there. Until --for is over, SIGTERM or Ctrl-C; then it prints what it wrote.

    It publishes nothing, needs no state folder, and may run beside `forewarn run`. Exit code 1 when something that it
    read could not be written.
    """
    if find_spec("polars") is None:
        what = "Parquet files are written by polars, which is not installed"
        raise ForewarnError("record", what, next_step="pip install 'forewarn[tables]'")
    from agent.record.session import Options, record  # needs the extra `tables`

    flush_every_s = _parsed(parse_duration, flush_every, "--flush-every").total_seconds()
    if not 1 <= flush_every_s <= 3600:
        raise click.BadParameter("must be from 1s to 1h", param_hint="--flush-every")
    options = Options(
        folder=out,
        for_s=_parsed(parse_duration, for_, "--for").total_seconds() if for_ else 0.0,
        flush_every_s=flush_every_s,
        size_max=_parsed(parse_size, size_max, "--size-max"),
        asks=ask,
    )
    settings = _only(config.load(file, os.environ), sources)
    try:
        held = lock(out)
    except StateRefused as error:
        what = error.what.replace("another agent", "another `forewarn record`")
        raise ForewarnError(out, what, next_step="Name another folder: --out.") from None
    with held:
        summary = record(settings, options, configure())
    click.echo(msgspec.json.format(msgspec.json.encode(summary)) if as_json else summary)
    sys.exit(1 if summary.not_written else 0)


def _parsed(parse: Callable[[object], Quantity], text: str, option: str) -> Quantity:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _only(settings: Settings, names: Sequence[str]) -> Settings:
    """The sources of these names, all for none, and those that join them."""
    owners = {source.name for source in settings.source if not source.joins}
    for name in names:
        if name not in owners:
            near = nearest(name, owners)
            what = f"{name!r} is no source that has devices of its own{f'; nearest {near!r}' if near else ''}"
            raise click.BadParameter(what, param_hint="--source")
    if not names:
        return settings
    return settings.model_copy(
        update={"source": tuple(one for one in settings.source if (one.joins or one.name) in names)}
    )
