"""What kind of value each key takes, as the models say it."""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import get_args, get_origin

from pydantic import BaseModel

from agent.config.lines import Key


def key_types(table: type[BaseModel]) -> Iterator[tuple[Key, object]]:
    """The type of every key that is not in a list of tables, Optional or not."""
    for name, field in table.model_fields.items():
        inner = next(tables_in(field.annotation), None)
        if inner is None:
            yield (name,), next(kind for kind in _kinds(field.annotation) if kind is not NoneType)
        elif get_origin(field.annotation) is not tuple:
            yield from (((name, *key), kind) for key, kind in key_types(inner))


def path_keys(table: type[BaseModel], name: str = "") -> Iterator[Key]:
    """The keys that name files; with the name of a list, those of each table in it."""
    at = next(tables_in(table.model_fields[name].annotation)) if name else table
    yield from (key for key, kind in key_types(at) if kind is Path)


def tables_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models in `Broker`, `Broker | None` and `tuple[SourceSettings, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, UnionType) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from tables_in(part)


def _kinds(annotation: object) -> tuple[object, ...]:
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
