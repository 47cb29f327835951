"""The few errors a user can meet. Bad data is not among them: it is a counted drop."""

from pathlib import Path

import msgspec

Unreadable = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what msgspec raises for JSON of others


class ForewarnError(Exception):
    """Printed without a traceback: where, what, and what to do next. Exit code 1."""

    exit_code = 1

    def __init__(self, where: Path | str, what: str, *, next_step: str) -> None:
        super().__init__(f"{where}: {what}\n  {next_step}")
        self.where = where
        self.what = what
        self.next_step = next_step


class BundleRefused(ForewarnError):
    """A bundle is missing, broken, foreign, or computes other numbers than it promises."""


class SnapshotRefused(ForewarnError):
    """A snapshot is torn, foreign, of a newer schema or of another bundle."""


class StateRefused(ForewarnError):
    """The state directory is missing, not writable, or held by another agent."""


class DataRefused(ForewarnError):
    """A recorded history or truth file cannot be read as what it should be."""


class ConfigurationRefused(ForewarnError):
    """The configuration has problems; all of them are in the message."""

    exit_code = 2
