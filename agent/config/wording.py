"""pydantic's errors in the words of a person who edits a TOML file."""

from collections.abc import Container, Iterator
from datetime import timedelta
from typing import get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from agent.config.gather import LISTS
from agent.config.key_types import tables_in
from agent.config.lines import Key
from agent.config.renamed import renamed, renamed_value
from agent.config.settings import Settings
from agent.near import near_miss
from agent.values.durations import format_duration

SHOWN_MAX = 60
WORDS = {
    "missing": "must be given",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
    "is_instance_of": "must be a path in quotes",
    "string_pattern_mismatch": "must be up to 64 letters, digits and . _ -, and begin with a letter or digit",
}


def what_is_wrong(error: ErrorDetails) -> str:
    """What to say beside file and key."""
    key: Key = error["loc"]
    if error["type"] == "extra_forbidden":
        return _unknown(key)
    if len(key) == 1 and key[0] in LISTS:
        if error["type"] in ("missing", "too_short"):
            return f"there is no [[{key[0]}]]: at least one is needed"
        if error["type"] == "tuple_type":
            return f"must be written with two brackets, [[{key[0]}]]: there may be several"
    if error["type"] == "literal_error" and (new := renamed_value(_dotted(key), error["input"])):
        return new
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    words = WORDS.get(error["type"]) or error["msg"].replace("Input should be", "must be").replace("should", "must")
    words = words[0].lower() + words[1:]
    return words if error["type"] == "missing" else f"{words}, not {_shown(error['input'])}"


def _unknown(key: Key) -> str:
    name = str(key[-1])
    if new := renamed(_dotted(key)):
        return new
    if name in ("password", "passwd", "secret"):
        return "a secret does not belong in this file: put it in a file of its own and name that with password_file"
    elsewhere = sorted(header for header, keys in _tables(Settings) if header and name in keys)
    what = near_miss(name, _table_at(key[:-1]).model_fields)
    return f"{what} here; there is one in {elsewhere[0]}" if elsewhere and "nearest" not in what else what


def _dotted(key: Key) -> str:
    return ".".join(part for part in key if isinstance(part, str))


def _tables(table: type[BaseModel], *path: str) -> Iterator[tuple[str, Container[str]]]:
    """The header of each table, "" for the file itself, and its keys."""
    header = ".".join(path)
    yield f"[[{header}]]" if header in LISTS else f"[{header}]" if header else "", table.model_fields
    for name, field in table.model_fields.items():
        names = ("NAME",) if get_origin(field.annotation) is dict else ()
        for inner in tables_in(field.annotation):
            yield from _tables(inner, *path, name, *names)


def _table_at(key: Key) -> type[BaseModel]:
    """The model of a table, Settings for ()."""
    table: type[BaseModel] = Settings
    is_name = False  # of a table in a table of tables
    for part in key:
        if isinstance(part, str) and not is_name:
            annotation = table.model_fields[part].annotation
            table = next(tables_in(annotation), table)
            is_name = get_origin(annotation) is dict
        else:
            is_name = False
    return table


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    shown = format_duration(value) if isinstance(value, timedelta) else repr(value)
    return shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}..."
