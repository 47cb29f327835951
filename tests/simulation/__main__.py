"""Simulated histories by the thousand: `python -m tests.simulation --seeds 1000`."""

import multiprocessing
import sys
import time
from pathlib import Path

import click
import msgspec

from tests.simulation.one_seed import Seed, collect_between, play, shrink, why_wrong
from tests.simulation.plan import MODES, Mode, Plan, draw

REGRESSIONS = Path(__file__).with_name("regressions.jsonl")
SHOWN = 60  # steps of a history that fails, its last ones
SAID_EVERY_S = 10.0
CHUNK = 20  # histories a worker is given at once
HISTORIES_OF_A_WORKER = 2000  # what SQLite and ONNX Runtime keep of a world goes with the process


def regressions() -> list[Plan]:
    """The plans of histories that once failed."""
    return [msgspec.json.decode(line, type=Plan) for line in REGRESSIONS.read_text().splitlines()]


@click.command()
@click.option("--seeds", default=1000, show_default=True, help="How many histories of each mode.")
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--mode", "modes", type=click.Choice(MODES), multiple=True, default=MODES, help="Of the agent.")
@click.option("--show", is_flag=True, help="Print the end of each history that failed, made smaller.")
@click.option("--keep", is_flag=True, help="Add it, made smaller, to regressions.jsonl, which the tests play.")
def main(seeds: int, first: int, jobs: int, modes: tuple[Mode, ...], *, show: bool, keep: bool) -> None:
    """Play histories; exit 1 when what must hold of one does not.

    Example: python -m tests.simulation --seeds 10000 --show
    """
    all_seeds = [(seed, mode) for seed in range(first, first + seeds) for mode in modes]
    begun_s = time.perf_counter()
    failed = _play_all(all_seeds, jobs)
    for seed in failed if keep or show else ():
        plan = shrink(draw(*seed))
        if show:
            _show(plan)
        if keep:
            with REGRESSIONS.open("a") as file:
                file.write(msgspec.json.encode(plan).decode() + "\n")
    click.echo(f"{len(all_seeds)} histories in {time.perf_counter() - begun_s:.0f} s, {len(failed)} failed")
    sys.exit(1 if failed else 0)


def _play_all(seeds: list[Seed], jobs: int) -> list[Seed]:
    """Those that failed."""
    begun_s = said_s = time.perf_counter()
    failed: list[Seed] = []
    chunks_max = max(1, HISTORIES_OF_A_WORKER // CHUNK)
    with multiprocessing.get_context("spawn").Pool(jobs, collect_between, maxtasksperchild=chunks_max) as pool:
        for n, (seed, why) in enumerate(pool.imap_unordered(why_wrong, seeds, chunksize=CHUNK), start=1):
            if why:
                failed.append(seed)
                click.echo(f"seed {seed[0]} {seed[1]}: {why[:500]}")
            if time.perf_counter() - said_s > SAID_EVERY_S:
                said_s = time.perf_counter()
                click.echo(f"{n} of {len(seeds)} histories, {len(failed)} failed, {said_s - begun_s:.0f} s", err=True)
    return failed


def _show(plan: Plan) -> None:
    wrong, history = play(plan)
    click.echo(f"\nseed {plan.seed} in {plan.mode} mode, {plan.agent}, {plan.world}, ends by {plan.ends_by}")
    for what in wrong[:5]:
        click.echo(f"  {what[:1000]}")
    for now_ns, kind, what in history.trace[-SHOWN:]:
        click.echo(f"    {now_ns / 1e9:9.4f} {kind:6} {what}")


if __name__ == "__main__":
    main()
