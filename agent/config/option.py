"""The option that says where the configuration is, the same for every command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(text: str) -> Callable[[Command], Command]:
    """`--config`, given to the command as `file`; `text` is its help."""
    return click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path),
        default=Path("/etc/forewarn/forewarn.toml"),
        show_default=True,
        help=text,
    )
