"""What the tables of a training TOML are made of."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agent.bundle.bounds import TIME_S_MAX
from agent.values.durations import parse_duration


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
Channels = Annotated[tuple[str, ...], Field(min_length=1, description="Channels the model reads, in the order of `x`.")]
Files = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
Margin = Annotated[float, Field(ge=0, description="Share of a channel's training range by which a row may leave it.")]
