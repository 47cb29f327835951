"""Settings of a source that its codec does not use: `forewarn check` names them instead of passing over them."""

from collections.abc import Iterator
from typing import Literal

from agent.sources import PayloadForm, Source

Setting = Literal["time", "channel", "tags", "payload", "interventions"]


def unused_settings(source: Source, *used: Setting) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of each that is set and not among those `used`."""
    is_set: dict[Setting, bool] = {
        "time": source.time_unit != "arrival",
        "channel": bool(source.channel),
        "tags": bool(source.tags),
        "payload": source.payload != PayloadForm(),
        "interventions": source.interventions is not None,
    }
    for key in is_set:
        if is_set[key] and key not in used:
            yield key, f"the codec {source.codec} does not use it: leave it out"
