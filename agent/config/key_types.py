"""What kind of value each key takes, as the models say it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import get_args, get_origin

from pydantic import BaseModel

from agent.config.lines import Key

EMPTY: Mapping[str, Iterable[str]] = MappingProxyType({})

Names = Mapping[str, Iterable[str]]  # of the tables in a table of tables: {"brokers": ["plant2"]}


def key_types(table: type[BaseModel], names: Names = EMPTY) -> Iterator[tuple[Key, object]]:
    """The type of every key that is not in a list of tables, Optional or not."""
    for name, field in table.model_fields.items():
        inner = next(tables_in(field.annotation), None)
        kind = get_origin(field.annotation)
        if inner is None:
            yield (name,), next(kind for kind in _kinds(field.annotation) if kind is not NoneType)
        elif kind is dict:
            yield from (((name, of, *key), kind) for of in names.get(name, ()) for key, kind in key_types(inner))
        elif kind is not tuple:
            yield from (((name, *key), kind) for key, kind in key_types(inner))


def path_keys(table: type[BaseModel], names: Names = EMPTY) -> Iterator[Key]:
    """The keys that name files and are in no list of tables."""
    yield from (key for key, kind in key_types(table, names) if kind is Path)


def tables_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models in `Broker`, `Broker | None`, `dict[str, Broker]` and `tuple[SourceSettings, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, UnionType) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from tables_in(part)


def _kinds(annotation: object) -> tuple[object, ...]:
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
