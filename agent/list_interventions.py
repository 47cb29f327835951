"""`forewarn interventions`: what was done to machines, as the agent has kept it."""

import csv
import os
import sys
from pathlib import Path

import click
import msgspec

from agent.config import load as config
from agent.config.option import config_option
from agent.decode.command import NOTE_CHARS_MAX
from agent.publish.intervention import intervention_message
from agent.readable import printable
from agent.store.interventions import read_interventions
from agent.store.outbox import ALERT_TABLE

FIELDS = ("device", "t", "kind", "source", "note")


@click.command(short_help="List what was done to machines: repairs, replacements, inspections.")
@config_option("The agent's main file, or the folder of a forewarn.toml.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.option("--csv", "as_csv", is_flag=True, help="A table with a header, for the trainer.")
def interventions(file: Path, as_json: bool, as_csv: bool) -> None:
    """\b
    forewarn interventions --csv > interventions.csv

    List what was done to machines, by any source or command, from the agent's state directory, beside a running agent
    or without one: the newest 100,000, in the order in which the agent took them.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms of one list: give one of them")
    labels = read_interventions(config.load(file, os.environ).agent.state_dir / ALERT_TABLE)
    kept = [msgspec.to_builtins(intervention_message(label)) for label in labels]
    for label in kept:
        del label["known"]  # when it was taken; nobody keeps that
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(kept)))
        return
    if as_csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(FIELDS)
        table.writerows([label[field] for field in FIELDS] for label in kept)
        return
    for label in kept:
        note = printable(label["note"], NOTE_CHARS_MAX)  # it comes over the network
        whose = f"{printable(label['device']):<24} {label['source']:<12}"
        click.echo(f"{label['kind']:<10}{whose} {label['t']}  {note}".rstrip())
    click.echo(f"{len(kept)} kept", err=True)
