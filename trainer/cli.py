"""`forewarn-train`: parse, call one function, print, exit code."""

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from agent.bundle.file import read
from agent.errors import ConfigurationRefused, ForewarnError
from agent.words import FirstSeen
from trainer.cli_data import data, resample

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
TO_COMPARE = {"lightgbm", "river", "scipy", "sklearn", "statsmodels"}
ANEW = click.option(
    "--anew", is_flag=True, help="Begin at the first epoch. [default: go on from where a run in --out was killed]"
)


@click.group()
def cli() -> None:
    """Train early-warning bundles and measure them.

    \b
    Example: forewarn-train fit configs/train/cmapss-fd001.toml --out build/fd001
    """


cli.add_command(resample)
cli.add_command(data)


@cli.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", type=FOLDER, required=True, help="Folder for the bundle, curves and played devices.")
@click.option(
    "--data", type=FOLDER, envvar="FOREWARN_DATA", show_envvar=True, help="Holds cmapss/, or what data.rows names."
)
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the config's: weights, batches, augmentation.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the config's.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Another key's, such as split.fit=90.")
@click.option("--channels", default="", metavar="NAME,...", help="Of a recorded FOLDER. [default: all that vary]")
@ANEW
def fit(
    config: Path,
    out: Path,
    data: Path | None,
    seed: int | None,
    epochs: int | None,
    changes: tuple[str, ...],
    channels: str,
    anew: bool,
) -> None:
    """Train a bundle by CONFIG. The files that it names start at its own folder, unless --data is given.

    CONFIG may be a folder that `forewarn record` wrote: then the configuration is made from what it holds, and written
    as fit.toml into --out.

    \b
    Example: forewarn-train fit configs/train/cmapss-fd001.toml --out build/fd001
    """
    from trainer.config_file import read_with_folder
    from trainer.fit import fit as train_and_write  # torch takes seconds to import; --help should not

    made = config_text(config, channels) if config.is_dir() else ""
    if channels and not made:
        what = "is for a recorded folder; a configuration has data.channels"
        raise ConfigurationRefused("--channels", what, next_step="Use --set 'data.channels=[\"flow\"]'.")
    wanted, folder = read_with_folder(config, changed_keys(seed, epochs, changes), data, is_given("data"), made)
    announce(train_and_write(wanted, folder, out, anew=anew, made=made))


@cli.command()
@click.argument("config", type=FILE)
@click.option("--out", type=FOLDER, required=True, help="Folder for teacher.pt and all that `fit` writes.")
@click.option(
    "--data", type=FOLDER, envvar="FOREWARN_DATA", show_envvar=True, help="Holds cmapss/, or what data.rows names."
)
@click.option("--teacher", type=FILE, help="A teacher.pt of the same fitted devices, instead of training one.")
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the config's: weights, batches, augmentation.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the config's; the teacher has its own.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Another key's, such as distill.share=0.5.")
@ANEW
def distill(
    config: Path,
    out: Path,
    data: Path | None,
    teacher: Path | None,
    seed: int | None,
    epochs: int | None,
    changes: tuple[str, ...],
    anew: bool,
) -> None:
    """Train a bundle by CONFIG that learns from a larger network, which its section [distill] describes.

    \b
    Example: forewarn-train distill configs/train/cmapss-fd001.toml --set distill.teacher_hidden=256 --out build/taught
    """
    from trainer.config_file import read_with_folder
    from trainer.distill import distill as teach_and_write

    wanted, folder = read_with_folder(config, changed_keys(seed, epochs, changes), data, is_given("data"))
    announce(teach_and_write(wanted, folder, out, teacher, anew=anew))


def config_text(recording: Path, channels: str) -> str:
    """The TOML for a recorded folder; says on standard error what was found. Raises ForewarnError."""
    from trainer.recorded import in_words, read_recording, toml_of

    facts = read_recording(recording, tuple(filter(None, channels.split(","))))
    click.echo(in_words(facts), err=True)
    return toml_of(facts, recording.resolve().name)


def announce(bundle: Path) -> None:
    """The path on standard output for a script; the bundle's error and what a budget comes to on standard error."""
    from trainer.evaluation.text import fit_as_text

    click.echo(bundle)
    click.echo(fit_as_text(read(bundle).manifest), err=True)


def changed_keys(seed: int | None, epochs: int | None, changes: tuple[str, ...]) -> list[str]:
    """What the command line puts in the place of the config's keys, each as KEY=VALUE."""
    options = {"seed": seed, "train.epochs": epochs}
    return [*changes, *(f"{key}={value}" for key, value in options.items() if value is not None)]


def is_given(option: str) -> bool:
    """Was the option on the command line, and not in the environment?"""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


@cli.command()
@click.argument("bundle", type=FILE)
@click.option("--labels", type=FILE, required=True, help="What `forewarn alerts export` wrote.")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="PATH",
    help="What was recorded while BUNDLE ran: a file, a folder of `forewarn record`, or a pattern; may be repeated.",
)
@click.option("--out", type=FOLDER, required=True, help="Folder for the new bundle.")
@click.option(
    "--budget", default="", help='False alarms allowed. [default: "1 per 1000 cycles" or "1 per device per 30d"]'
)
@click.option("--unlabelled-is-bad", is_flag=True, help="An alert without a label was false. [default: it is left out]")
def adapt(bundle: Path, labels: Path, data: tuple[str, ...], out: Path, budget: str, unlabelled_is_bad: bool) -> None:
    """Choose BUNDLE's thresholds anew by what people said of its alerts, and write it one version later.

    \b
    Example: forewarn-train adapt press-0.1.0.fwb --labels labels.csv --data recorded/press --out build/adapted
    """
    from trainer.bundle.adapt import adapt as adapt_and_write
    from trainer.bundle.adapt import as_text

    adapted = adapt_and_write(bundle, labels, data, out, budget=budget, unlabelled_is_bad=unlabelled_is_bad)
    for doubt in adapted.doubts:
        click.echo(f"doubtful: {doubt}", err=True)
    click.echo(adapted.path)
    click.echo(as_text(adapted, read(bundle).manifest), err=True)


@cli.command()
@click.option("--bundle", type=FILE, required=True, help="A .fwb file that `fit` made.")
@click.option(
    "--data", type=FOLDER, envvar="FOREWARN_DATA", show_envvar=True, help="Holds cmapss/, or what data.rows names."
)
@click.option(
    "--budget", default="", help='False alarms allowed. [default: "1 per 1000 cycles" or "1 per device per 30d"]'
)
@click.option("--baselines/--no-baselines", default=True, help="Tune and judge them too; they take most of the time.")
@click.option("--json", "json_file", type=FILE, help="Also write the figures here.")
def evaluate(bundle: Path, data: Path, budget: str, baselines: bool, json_file: Path | None) -> None:
    """Print a bundle's figures on the official test set and on the devices it has never seen, beside the baselines'.

    \b
    Example: forewarn-train evaluate --bundle build/fd001/cmapss-fd001-0.1.0.fwb --data "$FOREWARN_DATA" --json e.json
    """
    from trainer.evaluation.evaluate import as_json
    from trainer.evaluation.evaluate import evaluate as measure
    from trainer.evaluation.text import as_text

    evaluation = measure(read(bundle), data, budget, baselines)
    click.echo(as_text(evaluation))
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_bytes(as_json(evaluation))


@cli.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option(
    "--data", type=FOLDER, envvar="FOREWARN_DATA", show_envvar=True, help="Holds cmapss/, or what data.rows names."
)
@click.option(
    "--budget", default="", help='False alarms allowed. [default: "1 per 1000 cycles" or "1 per device per 30d"]'
)
@click.option("--methods", default="", help="Names with commas. [default: all]")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Of what draws, and of a CONFIG."
)
@click.option(
    "--first-seen",
    type=click.Choice(["unknown", "new"]),
    default="unknown",
    show_default=True,
    help="What bundles and boosting are told of each device's age; the calendar always knows.",
)
@click.option("--out", type=FOLDER, required=True, help="Folder for table, JSON, plots, and the bundles of a CONFIG.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON instead of the table.")
def compare(
    files: tuple[Path, ...],
    data: Path | None,
    budget: str,
    methods: str,
    seeds: int,
    first_seen: FirstSeen,
    out: Path,
    as_json: bool,
) -> None:
    """Set bundles, or a CONFIG that is trained once a seed, beside methods without a network at the same budget.

    FILES are .fwb bundles that differ in their seed alone, or one CONFIG.

    \b
    Example: forewarn-train compare configs/train/pumps.toml --seeds 5 --out build/compare
    """
    from trainer.comparison.write import Options, compare_and_write

    markdown, json = compare_and_write(
        files, data, out, Options(budget, tuple(filter(None, methods.split(","))), seeds, first_seen, is_given("data"))
    )
    click.echo((json if as_json else markdown).read_text().rstrip())


def main() -> None:
    """Run the command; an error that a user can meet is printed without a traceback."""
    try:
        cli(prog_name="forewarn-train")
    except ForewarnError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:  # a gateway's install has what the agent needs and no more
        extra = "compare" if error.name in TO_COMPARE else "train"
        click.echo(f"forewarn-train: {error.name} is not installed\n  pip install 'forewarn[{extra}]'", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
