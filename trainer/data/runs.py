"""When machines run, by one channel: rows of stops, and of the starts after them, are left out of the recordings.

The agent leaves the same rows out, by the same function (agent/step/stops.py): they teach nothing, are no exposure, and
no alert is raised or false in them. The channel need be none of the model's: one that is on or off hardly varies.
"""

from collections.abc import Sequence
from dataclasses import replace

import click
import numpy as np
from pydantic import Field

from agent.bundle.manifest import Manifest
from agent.errors import DataRefused
from agent.step.stops import says_something, stopped_from_start
from agent.table.lives.read import ROWS_MIN
from agent.table.lives.section import Section, Span
from agent.words import Bool
from trainer.data.history import ChannelInfo, History, StoppedRows
from trainer.data.plural import plural


class Runs(Section):
    """When a machine runs: rows of other times are left out, here and by the agent."""

    channel: str = Field(min_length=1, description="It says whether the machine runs; it may be none of data.channels.")
    above: float = Field(default=0.5, description="The machine runs while the channel is above this.")
    after: Span = Field(default=0.0, ge=0, description="And has run for so long: rows of a start are left out, too.")


def read_channels(channels: Sequence[str], runs: Runs | None) -> tuple[str, ...]:
    """What is read of a recording: the channels of `x`, and behind them the one of `runs` where it is another."""
    return (*channels, runs.channel) if runs is not None and runs.channel not in channels else tuple(channels)


def without_stops(histories: Sequence[History], channels: Sequence[ChannelInfo], runs: Runs) -> list[History]:
    """Lives as `read_channels` has them, without the rows of stops, and with `x` of the channels alone.

    Says on standard error how much that is. Raises DataRefused where nothing is left.
    """
    place = read_channels([one.name for one in channels], runs).index(runs.channel)
    counts = np.array([one.event for one in channels])
    running_rows = [running(history, counts, place, runs.above, runs.after) for history in histories]
    kept = [one for one in running_rows if len(one.t_s) >= ROWS_MIN]
    n_rows, n_out = sum(len(one.t_s) for one in histories), sum(len(one.stopped) for one in running_rows)
    when = f"{runs.channel} is above {runs.above:g}"
    if not kept:
        values = np.concatenate([one.x[:, place] for one in histories])
        seen = f"; it is {np.nanmin(values):g} to {np.nanmax(values):g}" if not np.isnan(values).all() else ""
        what = f"no machine has {ROWS_MIN} rows in which {when}{seen}"
        raise DataRefused("runs", what, next_step="Change runs.above, or take [runs] out.")
    what = f"{plural(n_out, 'row')} of stops and starts are left out ({n_out / n_rows:.1%})"
    click.echo(f"{what}: a machine runs while {when}", err=True)
    if len(kept) < len(running_rows):
        click.echo(
            f"{plural(len(running_rows) - len(kept), 'device')} with fewer than {ROWS_MIN} others, too", err=True
        )
    return kept


def running(history: History, counts: Bool, place: int, above: float, after_s: float) -> History:
    """The rows that are stepped, and the others as `stopped`.

    counts  bool [F]: of the columns of `x` that the model reads, which ones count events
    place   of the one that says whether the machine runs
    """
    n_channels = len(counts)
    is_stopped = stopped_from_start(above, after_s, history.t_ns, history.x[:, place])
    is_kept = ~is_stopped & says_something(history.x[:, :n_channels], counts)
    return replace(
        history,
        t_s=history.t_s[is_kept],
        x=history.x[is_kept, :n_channels],
        t_ns=history.t_ns[is_kept],
        stopped=StoppedRows(history.t_ns[is_stopped], history.x[is_stopped, place]),
    )


def running_by(manifest: Manifest, history: History) -> History:
    """The same of a recording of a bundle's `inputs`, by what the bundle says."""
    runs = manifest.runs
    if runs is None:
        return history
    place = [channel.name for channel in manifest.inputs].index(runs.channel.name)
    counts = np.array([channel.event for channel in manifest.channels])
    return running(history, counts, place, runs.above, runs.after_s)
