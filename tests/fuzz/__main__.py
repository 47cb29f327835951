"""One fuzz target in a process of its own; `tests.fuzz.campaign` runs them all.

    python -m tests.fuzz fuzz TARGET CORPUS SECONDS    looks for new inputs with atheris, and keeps them in CORPUS
    python -m tests.fuzz verify TARGET CORPUS SECONDS  reads all inputs as an agent would, and measures what they cost
    python -m tests.fuzz one TARGET FILE               reads one input that was found

`fuzz` traces every line of `agent`, which makes it several times as slow; so only `verify` holds the bounds of time.
"""

import gc
import json
import os
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha1
from pathlib import Path
from random import Random
from time import monotonic

from tests.fuzz.costs import Costs
from tests.fuzz.target import Target

Check = Callable[[bytes, Costs], None]
FOUND = Path(__file__).parents[1] / "data" / "fuzz"
SECONDS_MAX = 0.05
TRACED_SECONDS_MAX = 1.0
BYTES_MAX = 48 * 2**20  # that one payload may hold while it is read
GROWTH_BYTES_MAX = 2**20  # that may be kept of all inputs, once all of them have been read
RSS_GROWTH_BYTES_MAX = 32 * 2**20
INPUT_BYTES_MAX = 65_536


def fuzz(name: str, corpus: Path, end_s: float) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["agent"]):
        target = _target(name)
    costs = Costs(seconds_max=TRACED_SECONDS_MAX)
    seeds = corpus.parent / f"{name}-seeds"
    for folder in (corpus, seeds, FOUND / name):
        folder.mkdir(parents=True, exist_ok=True)
    for at, seed in enumerate(target.seeds()):
        (seeds / f"{at:04}").write_bytes(seed)
    options = [
        f"-max_total_time={max(1, round(end_s - monotonic()))}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-artifact_prefix={FOUND / name}/",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    corpora = map(str, (corpus, seeds, FOUND / name))
    atheris.Setup([sys.argv[0], *options, *corpora], lambda data: target.check(data, costs))
    atheris.Fuzz()


def verify(name: str, corpus: Path, end_s: float) -> None:
    """Reads the inputs in turn until the time is over, and writes what they cost as JSON."""
    target = _target(name)
    inputs = [*target.seeds(), *(path.read_bytes() for path in sorted((*corpus.glob("*"), *(FOUND / name).glob("*"))))]
    Random(0).shuffle(inputs)
    check = partial(_check, name, target)
    seconds = max(1.0, end_s - monotonic())
    timed, traced = Costs(seconds_max=SECONDS_MAX), Costs(bytes_max=BYTES_MAX)
    n_timed = _read(check, inputs, timed, monotonic() + seconds * 0.4)
    rss_bytes = _rss_bytes()
    n_again = _read(check, inputs[:n_timed], timed, monotonic() + seconds * 0.2)
    grown_bytes = _rss_bytes() - rss_bytes
    tracemalloc.start()
    n_traced = _read(check, inputs, traced, monotonic() + seconds * 0.2)
    gc.collect()
    before_bytes = tracemalloc.get_traced_memory()[0]
    _read(check, inputs[:n_traced], traced, monotonic() + seconds * 0.2)
    gc.collect()
    kept_bytes = tracemalloc.get_traced_memory()[0] - before_bytes
    assert kept_bytes <= GROWTH_BYTES_MAX, f"inputs that were read before left {kept_bytes} bytes more behind"
    assert grown_bytes <= RSS_GROWTH_BYTES_MAX, f"inputs that were read before made the process grow by {grown_bytes}"
    cost = {"slowest_ms": timed.slowest_s * 1e3, "most_mib": traced.most_bytes / 2**20, "kept_kib": kept_bytes / 2**10,
            "rss_mib": grown_bytes / 2**20}  # fmt: skip
    sys.stdout.write(json.dumps({"reads": n_timed + n_again, "inputs": len(inputs), **cost}) + "\n")


def _read(check: Check, inputs: Sequence[bytes], costs: Costs, end_s: float) -> int:
    """How many of the inputs were read in time."""
    for at, data in enumerate(inputs):
        if monotonic() > end_s:
            return at
        check(data, costs)
    return len(inputs)


def _check(name: str, target: Target, data: bytes, costs: Costs) -> None:
    """An input that fails is kept as a file."""
    try:
        target.check(data, costs)
    except BaseException:
        (FOUND / name).mkdir(parents=True, exist_ok=True)
        (FOUND / name / f"crash-{sha1(data).hexdigest()}").write_bytes(data)
        raise


def _target(name: str) -> Target:
    from tests.fuzz.targets import target_of  # imports `agent`, which `fuzz` must see to trace it

    return target_of(name)


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    start_s = monotonic()
    match sys.argv[1:]:
        case "fuzz", name, corpus, seconds:
            fuzz(name, Path(corpus), start_s + float(seconds))
        case "verify", name, corpus, seconds:
            verify(name, Path(corpus), start_s + float(seconds))
        case "one", name, file:
            _target(name).check(Path(file).read_bytes(), Costs(seconds_max=SECONDS_MAX))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
