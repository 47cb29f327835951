"""`forewarn-train resample` and `forewarn-train data`: recordings before a training."""

from pathlib import Path

import click

from agent.errors import ConfigurationRefused
from agent.table.form import CsvForm, FileUnit
from agent.values.durations import parse_duration

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="IN...")
@click.option("--every", required=True, help='Length of a window, such as "1s"; a number of cycles with --unit cycle.')
@click.option("--out", type=FOLDER, required=True, help="New folder for the rows.")
@click.option("--of", "chosen", multiple=True, metavar="CHANNEL=STATISTIC,...", help="Instead of the mean; see above.")
@click.option("--channels", default="", metavar="NAME,...", help="Columns of values. [default: all others]")
@click.option(
    "--device",
    default="device",
    show_default=True,
    help='Column with the device\'s name; or how files are named after it, as "{}_*.csv": {} is the device.',
)
@click.option("--time", default="t", show_default=True, help="Column with the time of the row.")
@click.option(
    "--unit",
    type=click.Choice(["s", "ms", "us", "ns", "iso8601", "cycle"]),
    default="s",
    show_default=True,
    help="Of the times: numbers since 1970, texts, or cycles.",
)
@click.option("--separator", default=",", help='Between the cells of CSV files, such as ";". [default: a comma]')
@click.option("--missing", multiple=True, metavar="VALUE", help='Stands for no value, such as "NA" or -9999.')
def resample(
    places: tuple[str, ...],
    every: str,
    out: Path,
    chosen: tuple[str, ...],
    channels: str,
    device: str,
    time: str,
    unit: FileUnit,
    separator: str,
    missing: tuple[str, ...],
) -> None:
    """Make rows of windows: of all readings of each device within --every, one row in the folder --out.

    IN are CSV or Parquet files, folders or patterns. A window's row has the time of its last reading. Missing values
    are left out, windows without a value too. Statistics are mean, sum, last, rms, peak (largest magnitude), crest
    (peak over rms), kurtosis (3 for normal noise), std, min and max. A column of labels, 0 or 1, stays one with max,
    and counts of events stay counts with sum.

    \b
    Example: forewarn-train resample vibration/*.parquet --every 1s --of acc=rms,peak,kurtosis --of fault=max --out rows
    """
    from agent.table.files import table_files
    from trainer.data.resample import columns_of, form_of, resampled, write_resampled

    if out.exists() and any(out.iterdir()):
        raise ConfigurationRefused(f"--out {out}", "is not empty", next_step="Give a new folder.")
    if len(separator) != 1:
        raise ConfigurationRefused("--separator", f"{separator!r} is not one character", next_step='Such as ";".')
    files = table_files(places, Path(), next_step="Give files, folders or patterns.", form=CsvForm(separator))
    form = form_of(files[0], device, time, unit, channels, missing)
    columns = columns_of([channel.field for channel in form.channels], dict(map(statistics_of, chosen)))
    rows = resampled(files, form, window_ns(every, unit), columns)
    written = write_resampled(rows, columns.names, out, counts_cycles=unit == "cycle")
    click.echo(out)
    of = f"{written.n_rows:,} rows of {written.n_devices:,} device(s), columns {', '.join(columns.names)}"
    click.echo(f'{of}; in the training\'s TOML: rows = "{out}/*{written.files[0].suffix}"', err=True)


def statistics_of(text: str) -> tuple[str, tuple[str, ...]]:
    """`vibration=rms,peak`. Raises ConfigurationRefused."""
    channel, sign, statistics = text.partition("=")
    if not sign or not statistics:
        raise ConfigurationRefused("--of", f"{text!r} names no statistic", next_step="Write it as vibration=rms,peak.")
    return channel, tuple(statistics.split(","))


def window_ns(every: str, unit: FileUnit) -> int:
    """Nanoseconds, or cycles times 1e9. Raises ConfigurationRefused."""
    try:
        ns = round(float(every) * 1e9) if unit == "cycle" else round(parse_duration(every).total_seconds() * 1e9)
    except ValueError as error:
        raise ConfigurationRefused("--every", str(error), next_step='Such as "1s" or "10m".') from error
    if ns <= 0:
        raise ConfigurationRefused("--every", "is 0", next_step='Such as "1s" or "10m".')
    return ns


@click.group()
def data() -> None:
    """Public data sets that the recipes read.

    \b
    Example: forewarn-train data fetch skab --to data
    """


@data.command()
@click.argument("name", default="")
@click.option(
    "--to",
    "folder",
    type=FOLDER,
    envvar="FOREWARN_DATA",
    show_envvar=True,
    default=Path("data"),
    show_default=True,
    help="Folder of recorded sets; the set gets a folder in it.",
)
@click.option("--from", "base", default="", help="Address or folder of a copy of such a folder. [default: its sources]")
def fetch(name: str, folder: Path, base: str) -> None:
    """Bring the public set NAME, or list them without a name. Every file is checked by its recorded SHA-256.

    \b
    Example: forewarn-train data fetch skab --to data
    """
    from trainer.data.fetch import PUBLIC_SETS, fetch_set

    if not name:
        for one, of in PUBLIC_SETS.items():
            click.echo(f"{one}: {of.title}; terms: {of.terms}")
        return
    written = fetch_set(name, folder, base.rstrip("/"))
    click.echo(folder / name)
    done = f"{len(written)} file(s) written" if written else "all files are there"
    click.echo(f"{name}: {done}, every sum is right; terms: {PUBLIC_SETS[name].terms}", err=True)
