"""The options that say where the configuration and the state are, the same for every command."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from agent.config import load
from agent.config.settings import Agent, Settings
from agent.config.source_settings import SourceSettings

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = Path("/etc/forewarn/forewarn.toml")


class Utf8Text(click.types.StringParamType):
    """What a person says, which goes out as UTF-8."""

    def __init__(self, *, may_be_empty: bool = True) -> None:
        self._may_be_empty = may_be_empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text: str = super().convert(value, param, ctx)
        if not (text or self._may_be_empty):
            self.fail("is empty: a variable that is not set?", param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("is not UTF-8", param, ctx)
        return text


def config_option(text: str) -> Callable[[Command], Command]:
    """`--config`, given to the command as `file`; `text` is its help."""
    return click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path),
        default=FILE,
        show_default=True,
        help=text,
    )


def state_dir_option(command: Command) -> Command:
    """`--state-dir`, for a command that has `--config` too: see `state_dir_of`."""
    return click.option(
        "--state-dir",
        type=click.Path(path_type=Path),
        help="The agent's state directory. [default: agent.state_dir of the configuration]",
    )(command)


def state_dir_of(file: Path, state_dir: Path | None) -> Path:
    """The one that was named, else that of the configuration; where nobody named one of the two and the usual file is
    not there, the usual directory. Raises ConfigurationRefused.
    """
    if state_dir is not None:
        return state_dir
    if file == FILE and not file.exists():
        return Agent().state_dir
    return load.load(file, os.environ).agent.state_dir


def owner_named(settings: Settings, name: str) -> SourceSettings:
    """The source with devices of its own that `--source` names; "" for the only one. Raises UsageError."""
    owners = {source.name: source for source in settings.source if not source.joins}
    if not name and len(owners) == 1:
        return next(iter(owners.values()))
    if name in owners:
        return owners[name]
    listed = ", ".join(owners)
    raise click.UsageError(f"there is no source {name!r}: {listed}" if name else f"give --source: one of {listed}")
