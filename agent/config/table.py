"""What every table of the configuration is made of."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict

MS, SECOND = timedelta(milliseconds=1), timedelta(seconds=1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


class Table(BaseModel):
    """A table of the file, which refuses keys it does not know. Strict: `true` is no number, and "1883" is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
