"""What a training is at, on standard error: a line a stage, with the time since the program began, and a bar on a
terminal. It may take minutes, and nobody should ask whether it still runs.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tqdm import tqdm

from trainer.data.history import History
from trainer.data.plural import plural

STARTED_S = time.monotonic()
PARTS = 10
"""Steps are told by so many lines where there is no bar, if there are so many of them."""


def stage(what: str) -> None:
    """Say what begins now."""
    minutes, seconds = divmod(round(time.monotonic() - STARTED_S), 60)
    tqdm.write(f"[{minutes}:{seconds:02}] {what}", file=sys.stderr)


def size(histories: Sequence[History]) -> str:
    """ "12 devices, 48,384 rows"."""
    return f"{plural(len(histories), 'device')}, {sum(len(history.t_s) for history in histories):,} rows"


@contextmanager
def steps(what: str, n: int, done: int = 0) -> Iterator[Callable[[dict[str, str]], None]]:
    """A bar on a terminal, else a line each tenth. Call what this gives after each step, with figures to show."""
    with tqdm(None, what, n, initial=done, disable=not sys.stderr.isatty()) as progress:

        def step(figures: dict[str, str]) -> None:
            nonlocal done
            done += 1
            progress.set_postfix(figures)
            progress.update()
            if progress.disable and n >= PARTS and done < n and done * PARTS // n > (done - 1) * PARTS // n:
                stage(f"{what}: {done} of {n}, {', '.join(f'{name} {value}' for name, value in figures.items())}")

        yield step
