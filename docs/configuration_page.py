"""docs/configuration.md, made from the configuration models by `make docs`.

A test fails when the page is stale. The example on it is configs/forewarn.example.toml, which is never typed twice.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.config.gather import LISTS
from agent.config.quantity import format_duration, format_size
from agent.config.reload import LIVE
from agent.config.settings import Settings, Time

ROOT = Path(__file__).parents[1]
SIZES = ("payload_bytes_max",)

TOP = """\
# Configuration

Generated from `agent/config/settings.py` by `make docs`. How to run: [README](../README.md).

`forewarn run --config FILE` and `forewarn check FILE` read
1. FILE, or `forewarn.toml` where FILE is a folder (installed: `/etc/forewarn/forewarn.toml`);
2. `conf.d/*.toml` beside it, in the order of their names: a later key wins, `[[model]]` and `[[source]]` tables are
   joined, and two of one name are an error;
3. the environment: `FOREWARN_BROKER__PORT=8883` is `port` in `[broker]`. Models and sources are set in files only.

A relative path starts from the folder of the file that it stands in (from the environment: the working folder). A
secret stands in a file of its own that not everybody may read; a name without a slash is looked up in
`$CREDENTIALS_DIRECTORY`, where that is set.

Keys marked *live* apply when the agent gets SIGHUP (`systemctl reload forewarn`), others when it starts
([operations](operations.md)).

Durations are written `"250ms"`, `"30s"`, `"2m"`, `"1h"`, `"30d"`, `"2w"`; sizes `"512B"`, `"64KiB"`, `"10MB"`.

**Several models.** Each `[[model]]` has a `name` and names the `sources` that it reads. One that names none reads every
source that has its channels: one that counts its kind of time, and whose `channels` maps nothing that the model lacks.
A channel that is not mapped is a payload field of its own name; so two kinds of machine are best told apart by
`sources`. `forewarn check` names a source that two models read of which each has a channel that the other has not, and
one that no model reads, with the reason: the agent does not subscribe to it. A model whose channels are a part of
another's is taken for one of the same machine. What a model loses with its name:
[operations](operations.md#add-rename-or-remove-a-model).

Each model has a `budget` of its own: two models that watch the same devices may cost twice as many false alarms.

**Errors.** An unknown key is one, with the nearest key there is. So is a key that had another name in an older version,
with the new one. `forewarn check FILE` prints every problem at once as `FILE:LINE: KEY: WHAT` and exits with 2; with
`--json` it prints `{"problems": [...], "would_run": ...}`. It also reads
the bundle and holds it against the sources (channels, time), the budget and the topics: two sources may not share a
topic, and forewarn may not read what it publishes. Last it builds what `forewarn run` builds, but for the state folder
and the connections: decoders, the model in ONNX Runtime, and the bundle's golden rows computed again.
"""


def page() -> str:
    """The whole page."""
    parts = [TOP]
    for name, field in Settings.model_fields.items():
        model = _model(field)
        header = f"[[{name}]]" if name in LISTS else f"[{name}]"
        parts.append(f"## `{header}`\n\n{field.description}\n")
        if name == "output":
            parts.append("The same keys as `[broker]`.\n")
        else:
            parts.append("\n".join(_rows(name, model)) + "\n")
    example = (ROOT / "configs" / "forewarn.example.toml").read_text()
    parts.append(f"## Example\n\n`configs/forewarn.example.toml`:\n\n```toml\n{example}```\n")
    return "\n".join(parts)


def _rows(table: str, model: type[BaseModel]) -> Iterator[str]:
    yield "| key | value | default | |\n|---|---|---|---|"
    for name, field in model.model_fields.items():
        if _model(field) is Time:
            for inner, inner_field in Time.model_fields.items():
                yield _row(f"{name}.{inner}", inner_field)
        else:
            yield _row(name, field, live=(table, name) in LIVE)


def _row(name: str, field: FieldInfo, *, live: bool = False) -> str:
    mark = " *live*" if live else ""
    return f"| `{name}` | {_value(name, field)} | {_default(name, field)} | {field.description}{mark} |"


def _model(field: FieldInfo) -> type[BaseModel]:
    """The table a field holds, BaseModel for a plain value."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and not get_args(kind) and issubclass(kind, BaseModel):
            return kind
    return BaseModel


def _value(name: str, field: FieldInfo) -> str:
    """What may be given, with its bounds."""
    kind: object = field.annotation
    if isinstance(kind, UnionType):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{_toml(name, value)}`" for value in get_args(kind))
    words = {str: "text", int: "number", bool: "true or false", Path: "path", timedelta: "duration"}
    containers = {dict: "table", tuple: "list of texts"}
    word = containers.get(get_origin(kind)) or ("size" if name in SIZES else words[kind])  # type: ignore[index]
    low = [_toml(name, bound.ge) for bound in field.metadata if isinstance(bound, Ge)]
    high = [_toml(name, bound.le) for bound in field.metadata if isinstance(bound, Le)]
    if low and high:
        return f"{word}, `{low[0]}` to `{high[0]}`"
    return f"{word}, at least `{low[0]}`" if low else word


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None or field.default is None:
        return ""
    return f"`{_toml(name, field.default)}`"


def _toml(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f'"{format_duration(value)}"'
    if isinstance(value, int):
        return f'"{format_size(value)}"' if name in SIZES else str(value)
    if isinstance(value, tuple):
        return str(list(value))
    return str(value) if isinstance(value, dict) else f'"{value}"'
