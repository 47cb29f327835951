"""The commands: parse, call one function, print, exit code.

Exit codes: 0 ok, 1 failure, 2 usage or configuration. An error a user can meet is printed without a traceback.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import msgspec

from agent import handle_alerts
from agent.config import load as config
from agent.config.bundle_apart import BundlesApart, verify_apart
from agent.config.option import config_option
from agent.config.plan import Plan
from agent.config.problem import Problem
from agent.config.settings import Settings
from agent.config.summary import report, text
from agent.errors import ConfigurationRefused, ForewarnError, StateRefused
from agent.intervene import intervene
from agent.label_alerts import export, label
from agent.list_alerts import alerts
from agent.list_hides import hidden
from agent.list_interventions import interventions
from agent.log import configure
from agent.run import run as run_agent
from agent.state.command import state
from agent.store.lock import is_held
from agent.store.orphans import orphans


class Commands(click.Group):
    """A group whose commands may raise ForewarnError. The daemon does not load what only others need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "record", "replay", "sample"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "record":
            from agent.record.command import record

            return record
        if cmd_name == "replay":
            from agent.replay.command import replay

            return replay
        if cmd_name == "sample":
            from agent.sample.command import sample

            return sample
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ForewarnError as error:
            click.echo(error, err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="forewarn")
def main() -> None:
    """Early warnings from machine telemetry over MQTT.

    \b
    forewarn check /etc/forewarn/forewarn.toml
    """


@main.command(short_help="Print every problem of a configuration, or what would run.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object: problems, and what would run.")
def check(file: Path, as_json: bool) -> None:
    """\b
    forewarn check /etc/forewarn/forewarn.toml

    Print every problem of a configuration at once and exit 2, or what would run and exit 0. FILE is the main file,
    read together with conf.d/*.toml beside it and the environment; or the folder of a forewarn.toml. The bundle's model
    is loaded and verified as `forewarn run` does it; no broker is asked. What is allowed but doubtful is printed too:
    topics by which two machines may become one, rows unlike those of the training, a source that no model reads, a
    budget too fine for its bundle, and what the state folder holds of sources and models that are gone. Without a
    [[model]] it says that `forewarn record` and `forewarn sample` can run, and `forewarn run` cannot.
    """
    examined = config.check(file, os.environ, _verify_beside)
    result = report(examined)
    if examined.settings is not None and examined.plan is not None:
        result = msgspec.structs.replace(
            result, doubts=(*result.doubts, *_orphans(file, examined.settings, examined.plan))
        )
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(result)))
    elif result.would_run is not None:
        click.echo(f"{file}: ok: " + "\n  ".join(text(result.would_run)))
        for doubt in result.doubts:
            click.echo(f"doubtful: {doubt}", err=True)
    else:
        for problem in result.problems:
            click.echo(problem, err=True)
    sys.exit(2 if result.problems else 0)


def _verify_beside(settings: Settings, bundle: Path) -> None:
    """Verify a bundle in a process with limits where an agent runs. Raises BundleRefused."""
    if is_held(settings.agent.state_dir):
        verify_apart(bundle)


def _orphans(file: Path, settings: Settings, plan: Plan) -> Iterator[Problem]:
    """What the state folder knows of sources and models that are gone; it may be for the agent's user alone to read."""
    sources = [source.name for source in plan.sources]
    models = {model.name: {sources[index] for index in model.sources} for model in plan.models}
    unread = {source.name for source in settings.source} - {*sources}
    try:
        for key, what in orphans(settings.agent.state_dir, sources, models, unread):
            yield Problem(str(file), 0, key, what)
    except (StateRefused, OSError) as error:
        yield Problem(str(file), 0, "agent.state_dir", f"was not looked into: {error}")


@main.command(short_help="Run the agent until SIGTERM.")
@config_option("The main file, or the folder of a forewarn.toml.")
def run(file: Path) -> None:
    """\b
    forewarn run --config /etc/forewarn/forewarn.toml

    Run the agent until SIGTERM: subscribe, score, and publish warnings. Logs go to standard error, as JSON when that is
    not a terminal. SIGHUP reads the configuration again.
    """
    settings = config.load(file, os.environ)
    if not settings.model:
        raise ConfigurationRefused(
            file, "there is no [[model]], so nothing to run", next_step="`forewarn-train fit` makes its bundle."
        )
    sys.exit(run_agent(settings, partial(config.examine, file, os.environ, BundlesApart().read), configure()))


alerts.add_command(label)
alerts.add_command(export)
alerts.add_command(hidden)
for command in handle_alerts.commands():
    alerts.add_command(command)
main.add_command(alerts)
main.add_command(intervene)
main.add_command(interventions)
main.add_command(state)

if __name__ == "__main__":
    main()
