"""What is shown on standard error while a replay runs: how far it is, and the warnings as they come."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from agent.bundle.manifest import Manifest
from agent.replay import wording
from agent.replay.inline import Observer
from agent.score.time_unit import unit_of
from agent.words import AlertEvent


@contextmanager
def show_progress(
    n_rows: int, manifest: Manifest, became: Mapping[str, float | None], *, live_max: int
) -> Iterator[Observer]:
    """A progress bar where standard error is a terminal, and the first `live_max` warnings, each beside the truth."""
    is_terminal = sys.stderr.isatty()
    unit = unit_of(manifest)
    n_warned = 0

    def warned(event: AlertEvent) -> None:
        nonlocal n_warned
        if event.kind != "raised":
            return
        n_warned += 1
        if n_warned <= live_max:
            line = wording.warning(event, manifest, became[event.device], unit)
            click.echo(f"\r\033[K{line}" if is_terminal else line, err=True)

    if is_terminal:
        with click.progressbar(
            length=n_rows, label="replay", file=sys.stderr, show_pos=True, update_min_steps=max(1, n_rows // 500)
        ) as bar:
            yield Observer(on_event=warned, on_rows=bar.update)
    else:
        yield Observer(on_event=warned)
    if live_max and n_warned > live_max:
        click.echo(f"... and {n_warned - live_max} more; replay.json has them all", err=True)
