"""The blocks of README and docs that are made from a JSON file in docs/figures, and the command that wrote each file.

A figure stands on a page only as its JSON has it. To change one, run the command again and then `make docs`. Each file
has the machine and the versions that it was measured with.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from docs import figure_tables as tables

FIGURES = Path(__file__).parent / "figures"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page: what `render` makes of the content of `files` of docs/figures, which `command` wrote."""

    files: tuple[str, ...]
    command: str
    render: Callable[..., str]

    @property
    def origin(self) -> str:
        return f"docs/figures/{', '.join(self.files)}, written by `{self.command}`"

    def text(self) -> str:
        return self.render(*(json.loads((FIGURES / name).read_text()) for name in self.files))


DEMO = "python -m docs.record"
FIRST_STEPS = ("sample", "record", "fit", "replay", "check", "watch", "alert")
FD001 = ("early_warning_fd001_new.json", "early_warning_fd001.json")
BLOCKS: dict[str, Block] = {
    "readme_demo": Block(("demo.json",), DEMO, tables.demo),
    "pumps": Block(("demo.json",), DEMO, tables.pumps),
    "accuracy": Block(("accuracy.json",), "python -m bench.accuracy --json", tables.accuracy),
    "accuracy_short": Block(("accuracy.json",), "python -m bench.accuracy --json", tables.accuracy_short),
    "early_warning": Block(
        FD001, "python -m bench.early_warning --sets fd001 [--first-seen new] --json", tables.early_warning
    ),
    "early_warning_ahead": Block(
        FD001, "python -m bench.early_warning --sets fd001 --json", tables.early_warning_ahead
    ),
    "codecs": Block(("codecs.json",), "python -m bench.codecs --json", tables.codecs),
    "throughput": Block(("throughput.json",), "python -m bench.throughput --json", tables.throughput),
    "at_rest": Block(("footprint.json",), "python -m bench.footprint --json", tables.at_rest),
    "snapshots": Block(("snapshot.json",), "python -m bench.snapshot --json", tables.snapshots),
    "soak": Block(("soak.json",), "python -m tests.faults.soak --json", tables.soak),
    "durability": Block(("durability.json",), "python -m bench.durability --json", tables.durability),
    "gateway": Block(("gateway.json",), "python -m bench.gateway --short --json", tables.gateway),
    "unlabelled": Block(("unlabelled.json",), "python -m bench.unlabelled --json", tables.unlabelled),
    "plants": Block(("plants.json",), "python -m bench.plants --json", tables.plants),
    "heads": Block(("heads.json",), "python -m bench.heads BUNDLE --json", tables.heads),
    **{
        f"first_{name}": Block(
            ("first_warning.json",), "python -m docs.first_warning", partial(tables.first_warning, name)
        )
        for name in FIRST_STEPS
    },
}
