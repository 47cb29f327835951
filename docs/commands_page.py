"""docs/commands.md, made from the commands' own --help by `make docs`. Needs the extra `train`."""

from collections.abc import Iterator

import click

from agent.cli import main
from trainer.cli import cli

PROGRAMS = {"forewarn": main, "forewarn-train": cli}
WIDTH = 100

TOP = """\
# Commands

Generated from `--help` by `make docs`. `forewarn` is the agent and what a gateway needs;
`forewarn-train` comes with the extra `train` (`pip install 'forewarn[train]'`) and is for the machine that trains;
`compare` needs the extra `compare`.

Results go to standard output, all else to standard error. An error is one line with what is wrong and one with what to
do next, without a traceback.

| exit code | of every command | of one |
|---|---|---|
| 0 | done | `forewarn run`: stopped as asked, by Ctrl-C too; `forewarn alerts --watch`: Ctrl-C |
| 1 | failure: a file, a broker, a disk; ended by Ctrl-C | `forewarn replay`: a requirement is not met |
| 2 | usage or configuration | `forewarn check`: the configuration has problems |
| 130 | | `forewarn run`: stopped twice ([operations](operations.md)) |
"""


def page() -> str:
    """The whole page."""
    parts = [TOP]
    for program, group in PROGRAMS.items():
        for context in commands(
            click.Context(group, info_name=program, terminal_width=WIDTH, **group.context_settings)
        ):
            lines = [line.rstrip() for line in context.get_help().splitlines()]
            parts.append("\n".join([f"## {context.command_path}\n\n```text", *lines, "```\n"]))
    return "\n".join(parts)


def commands(context: click.Context) -> Iterator[click.Context]:
    """A command and all below it, as they are called."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            below = context.command.get_command(context, name)
            assert below is not None
            yield from commands(click.Context(below, info_name=name, parent=context))
