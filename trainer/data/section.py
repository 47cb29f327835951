"""What every data set is made from: a table of the training TOML, and the words for its model card.

`trainer/config.py` imports this file and puts the tables together; a data set does not import the configuration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agent.bundle.bounds import TIME_S_MAX
from agent.config.quantity import parse_duration
from agent.errors import ConfigurationRefused


class Section(BaseModel):
    """A closed table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


def span(value: object) -> object:
    """Seconds of a text such as "72h"; what is no text is left to pydantic. Raises ValueError."""
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value).total_seconds()
    except ValueError:
        forms = 'a number without quotes (cycles, or seconds) or a text such as "30s", "1h" or "30d"'
        raise ValueError(f'must be {forms}, not "{value}"') from None


Span = Annotated[float, BeforeValidator(span), Field(le=TIME_S_MAX)]


def listed(spans_s: Sequence[float]) -> str:
    return ", ".join(f"{one:.12g}" for one in spans_s)


Channels = Annotated[tuple[str, ...], Field(min_length=1, description="Channels the model reads, in the order of `x`.")]
Files = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
Margin = Annotated[float, Field(ge=0, description="Share of a channel's training range by which a row may leave it.")]


@dataclass(frozen=True, slots=True)
class Subject:
    """The words of a model card in which one data set differs from another."""

    failure: str
    row: str
    source: str
    device: str
    every: str
    first: str
    test_set: str
    not_for: str
    reset: str


def required_folder(data: Path | None) -> Path:
    """The folder of recorded sets. Raises ConfigurationRefused where nobody gave one."""
    if data is None:
        raise ConfigurationRefused("FOREWARN_DATA", "is not set", next_step="Set it, or give --data FOLDER.")
    return data
