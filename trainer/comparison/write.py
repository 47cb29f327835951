"""From files on the command line to a folder with the table, the JSON and the plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agent.bundle.file import Bundle, read
from agent.errors import ConfigurationRefused
from agent.words import FirstSeen
from trainer.comparison.compare import METHODS, check_methods, compare
from trainer.comparison.plot import plot_lead, plot_rate
from trainer.comparison.text import as_json, as_markdown
from trainer.config_file import read_with_folder
from trainer.fit import fit

BUNDLE = ".fwb"


class Options(NamedTuple):
    """Of the command; methods () are all, budget "" is the default of the bundle's time unit."""

    budget: str
    methods: tuple[str, ...]
    seeds: int
    first_seen: FirstSeen
    is_data_given: bool


def compare_and_write(files: Sequence[Path], data: Path | None, out: Path, options: Options) -> tuple[Path, Path]:
    """Compare and write everything into the folder `out`; returns where Markdown and JSON are. Raises ForewarnError."""
    check_methods(options.methods)
    bundles, folder = bundles_of(files, data, out, options)
    comparison = compare(
        bundles,
        folder,
        budget=options.budget,
        methods=options.methods or METHODS,
        seeds=options.seeds,
        first_seen=options.first_seen,
    )
    out.mkdir(parents=True, exist_ok=True)
    markdown, json = out / "compare.md", out / "compare.json"
    markdown.write_text(as_markdown(comparison) + "\n")
    json.write_bytes(as_json(comparison))
    plot_lead(comparison, out / "lead.png")
    plot_rate(comparison, out / "rate.png")
    return markdown, json


def bundles_of(
    files: Sequence[Path], data: Path | None, out: Path, options: Options
) -> tuple[list[Bundle], Path | None]:
    """The bundles that were given, or those that a configuration gives, one a seed; and the folder of their data."""
    if all(file.suffix == BUNDLE for file in files):
        return [read(file) for file in files], data
    if len(files) > 1:
        what = f"{len(files)} files that are not all bundles ({BUNDLE})"
        raise ConfigurationRefused("compare", what, next_step="Give bundles, or one training configuration.")
    config, folder = read_with_folder(files[0], (), data, options.is_data_given)
    seeded = [config.model_copy(update={"seed": seed}) for seed in range(options.seeds)]
    return [read(fit(one, folder, out / f"seed-{one.seed}")) for one in seeded], folder
