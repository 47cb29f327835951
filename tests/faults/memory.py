"""Which kind of fault the agent's memory grows by: one process, and after some faults of a kind what stays.

    python -m tests.faults.memory --times 60 full_disk stall full_disk

The soak shows that memory grows, not by what. Here a stream of 3,000 messages a second goes on all the while, and after
each kind the least of ten seconds is printed, by mapping: `heap` is what malloc took by brk, `mapped` what it or a
library mapped. Name a kind twice: what a bound fills once is not there the second time. `rest` is a minute without.
"""

import math
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import click

from tests.faults.soak import ENDS_THE_AGENT, ENDS_THE_INPUT, FAULTS, STEADY_S, Brake, Fleet, Soak
from tests.faults.steady_publisher import SteadyPublisher

RATE_PER_S = 3000.0
PAUSE_S = 0.3  # between two faults
REST_S = 60.0
LOOKS, LOOK_EVERY_S = 20, 0.5
KINDS = {fault.__name__: fault for fault in FAULTS if fault not in ENDS_THE_AGENT}
REST = "rest"


def resident_mb(smaps: str) -> Counter[str]:
    """Resident memory by kind of mapping: heap, mapped, files, other; in MB. `smaps` is /proc/PID/smaps."""
    found: Counter[str] = Counter()
    kind = ""
    for line in smaps.splitlines():
        words = line.split()
        if words[0].endswith(":"):
            if words[0] == "Rss:":
                found[kind] += int(words[1]) / 1024  # type: ignore[assignment]
        elif len(words) < 6:
            kind = "mapped"
        else:
            kind = "heap" if words[5] == "[heap]" else "files" if words[5].startswith("/") else "other"
    return found


def least_mb(pid: int) -> Counter[str]:
    """Of some looks, that in which least was resident."""
    least: Counter[str] = Counter({"other": math.inf})
    for _ in range(LOOKS):
        least = min(least, resident_mb(Path(f"/proc/{pid}/smaps").read_text()), key=lambda found: found.total())
        time.sleep(LOOK_EVERY_S)
    return least


@click.command()
@click.argument("kinds", nargs=-1, type=click.Choice([REST, *KINDS]))
@click.option("--times", default=60, show_default=True, help="How many faults of each kind.")
def main(kinds: tuple[str, ...], times: int) -> None:
    """Print the agent's memory after some faults of each of KINDS, in their order; of all if none is named."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        soak = Soak(Path(name), 0, stack)
        click.echo(f"{'':26}{'MB':>8}{'heap':>8}{'mapped':>8}{'messages':>12}{'events':>8}")
        with SteadyPublisher(soak.input.port, RATE_PER_S, Brake(soak, Fleet()).make):
            for kind in (REST, *(kinds or KINDS), REST):
                for _ in range(times if kind != REST else 0):
                    KINDS[kind](soak)
                    time.sleep(STEADY_S if KINDS[kind] in ENDS_THE_INPUT else PAUSE_S)
                if kind == REST:
                    time.sleep(REST_S)
                found = least_mb(soak.agent.process.pid)
                figures = f"{found.total():8.1f}{found['heap']:8.1f}{found['mapped']:8.1f}"
                click.echo(f"{kind:26}{figures}{soak.taken():12,}{len(soak.listener.heard):8,}")


if __name__ == "__main__":
    main()
