"""docs/configuration.md, made from the configuration models by `make docs`.

A test fails when the page is stale. The example on it is configs/forewarn.example.toml, which is never typed twice.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import NoneType
from typing import Annotated, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from agent.config.broker_settings import Broker
from agent.config.gather import LISTS, NAMED
from agent.config.key_types import tables_in
from agent.config.quantity import format_size
from agent.config.reload import LIVE
from agent.config.settings import Settings
from agent.config.source_tables import FieldName
from agent.values.durations import format_duration

ROOT = Path(__file__).parents[1]
SIZES = ("payload_bytes_max",)
HEAD = "| key | value | default | |\n|---|---|---|---|"
WORDS: dict[object, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    Path: "path",
    bool | FieldName: "true, or text",
    timedelta: "duration",
}

TOP = """\
# Configuration

Generated from the tables in `agent/config` by `make docs`. How to run: [README](../README.md).

`forewarn run --config FILE` and `forewarn check FILE` read
1. FILE, or `forewarn.toml` where FILE is a folder (installed: `/etc/forewarn/forewarn.toml`);
2. `conf.d/*.toml` beside it, in the order of their names: a later key wins, `[[model]]` and `[[source]]` tables are
   joined, and two of one name are an error;
3. the environment: `FOREWARN_BROKER__PORT=8883` is `port` in `[broker]`, `FOREWARN_BROKERS__LINE_2__PORT` that in
   `[brokers.line-2]`, which a file has. Models and sources are set in files only.

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

**A single model** that names no `sources` reads the source of the file where there is one. Of several it reads those
that count its kind of time and whose `channels` maps one of its channels or nothing; `forewarn check` names the others.

**Channels that no model reads** are recorded by `forewarn record`, and `forewarn run` leaves them out: it counts their
payload fields as `extra_channel` unless `report_extra` is false. `forewarn check` names them. So a configuration that
`forewarn sample` has written takes a `[[model]]` as it is. A name that looks like that of a channel of the bundle which
the source does not map is taken for a typing error and refused; so is a source that maps no channel of its models at
all. A source of `float32` maps the channels of its models alone, since its channels say how long a row is.

Each model has a `budget` of its own: two models that watch the same devices may cost twice as many false alarms.

**Several sources for one machine.** A source with `joins = "press"` brings channels to the devices of the source
`press`: those that its `channels` lists. `press` reads the rest, and a model names `press` alone. Its `align` says how
readings of both become rows.

**What training knew.** Where a source does not say how a channel is read, it is read as in the recording that the
bundle was trained on: from the field that the column was called, with its numbers for no value, and its words for
numbers. A key of the source (`field`, `missing`, `words`) replaces the bundle's. With `scale` or `offset` a payload has
another unit than the recording, and so codes of its own: the bundle's `missing` and `words` are not used then.

**Several brokers.** `[broker]` is the one of all sources that name none; `broker = "plant2"` in a source means
`[brokers.plant2]`. Alerts go to `[output]`, or where there is none to `[broker]`. Topics of two sources may be equal on
two brokers, not on one.

**Without a model.** A configuration without `[[model]]` is one for `forewarn record` and `forewarn sample`; `forewarn
check` says so, and `forewarn run` refuses it.

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
        header = f"[[{name}]]" if name in LISTS else f"[{name}.NAME]" if name in NAMED else f"[{name}]"
        parts.append(f"## `{header}`\n\n{field.description}\n")
        if _model(field) is Broker and name != "broker":
            parts.append("The same keys as `[broker]`.\n")
        else:
            parts.append("\n".join([HEAD, *_rows(_model(field), name)]) + "\n")
    example = (ROOT / "configs" / "forewarn.example.toml").read_text()
    parts.append(f"## Example\n\n`configs/forewarn.example.toml`:\n\n```toml\n{example}```\n")
    parts.append("For each kind of publisher:\n")
    for path in sorted((ROOT / "configs" / "sources").glob("*.toml")):
        parts.append(f"`configs/sources/{path.name}`:\n\n```toml\n{path.read_text()}```\n")
    return "\n".join(parts)


def _rows(model: type[BaseModel], *path: str) -> Iterator[str]:
    """A row a key, those of tables within it too. path: of the table that `model` is"""
    for name, field in model.model_fields.items():
        inner, key = _model(field), (*path, name)
        if inner is BaseModel:
            yield _row(".".join(key[1:]), name, field, live=key in LIVE)
        elif get_origin(field.annotation) is dict:
            yield _row(".".join(key[1:]), name, field)
            yield from _rows(inner, *key, "NAME")
        else:
            yield from _rows(inner, *key)


def _row(key: str, name: str, field: FieldInfo, *, live: bool = False) -> str:
    words = f"{field.description}{' *live*' if live else ''}"
    return f"| `{key}` | {_value(name, field.annotation, field.metadata)} | {_default(name, field)} | {words} |"


def _model(field: FieldInfo) -> type[BaseModel]:
    """The table a field holds, BaseModel for a plain value."""
    return next(tables_in(field.annotation), BaseModel)


def _value(name: str, kind: object, metadata: Sequence[object]) -> str:
    """What may be given, with its bounds."""
    if NoneType in get_args(kind):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is Annotated:
        kind, metadata = get_args(kind)[0], [*get_args(kind)[1:], *metadata]
    metadata = [one for of in metadata for one in (of.metadata if isinstance(of, FieldInfo) else (of,))]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{_toml(name, value)}`" for value in get_args(kind))
    if get_origin(kind) is tuple:
        element = get_args(kind)[0]
        if get_origin(element) is Literal:
            return f"list of {', '.join(f'`{_toml(name, value)}`' for value in get_args(element))}"
        word = WORDS[_plain(element)]
        short = f"{word}, or " if any(isinstance(one, BeforeValidator) for one in metadata) else ""
        return f"{short}list of {word}s"
    if get_origin(kind) is dict:
        return "table"
    word = "size" if name in SIZES else WORDS[kind]
    low = [_toml(name, bound.ge) for bound in metadata if isinstance(bound, Ge)]
    high = [_toml(name, bound.le) for bound in metadata if isinstance(bound, Le)]
    if low and high:
        return f"{word}, `{low[0]}` to `{high[0]}`"
    return f"{word}, at least `{low[0]}`" if low else word


def _plain(kind: object) -> object:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


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
    if isinstance(value, int | float):
        return f'"{format_size(int(value))}"' if name in SIZES else f"{value:g}" if value < 1000 else str(value)
    if isinstance(value, tuple):
        return str(list(value))
    return str(value) if isinstance(value, dict) else f'"{value}"'
