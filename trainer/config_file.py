"""The training TOML as it is written: every problem at once, each with its key and the nearest valid name."""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from agent.errors import ConfigurationRefused
from agent.table.lives.section import Section
from trainer.config import Config
from trainer.data.dataset import DATASETS

IN_TOML = {
    "missing": "is missing",
    "tuple_type": "must be a list in [ ]",
    "dict_type": "must be a table of the file",
    "model_type": "must be a table of the file",
    "model_attributes_type": "must be a table of the file",
    "union_tag_invalid": f"dataset must be one of {', '.join(DATASETS)}",
    "union_tag_not_found": f"dataset is missing; it is one of {', '.join(DATASETS)}",
}
"""Kinds of problems that pydantic tells in words of Python."""
FORMS = {
    "name": "must be small letters, digits and -, such as press-2",
    "version": "must be three numbers with points, such as 0.1.0",
}
"""Keys of one form, of which pydantic tells the regular expression."""
FORM = re.compile(r"(literal|tuple|function-\w+)\[")
"""Which of several forms of a value pydantic tried: no key of the file."""


def read_config(path: Path, changes: Sequence[str] = (), made: str = "") -> Config:
    """Read a training TOML; each change, such as `train.epochs=50`, replaces a key's value.

    made  the text of one that was made of the recording `path`

    Raises ConfigurationRefused with every problem at once.
    """
    try:
        content = tomllib.loads(made or path.read_text(encoding="utf-8"))
        for change in changes:
            put(content, change)
    except OSError as error:
        raise ConfigurationRefused(path, str(error.strerror), next_step="Give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationRefused(path, f"is not TOML: {error}", next_step="Mend the line it names.") from error
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        problems = "\n  ".join(problem(details["loc"], details["type"], details["msg"]) for details in error.errors())
        raise ConfigurationRefused(path, problems, next_step="configs/train/ holds commented examples.") from error


def read_with_folder(
    path: Path, changes: Sequence[str], data: Path | None, is_data_given: bool, made: str = ""
) -> tuple[Config, Path | None]:
    """The config, and the folder that its files are in: a user's own lie beside it unless `data` was given by hand.

    `data` else is $FOREWARN_DATA, where public sets lie. Raises ConfigurationRefused.
    """
    config = read_config(path, changes, made)
    return config, path.parent if config.data.lies_beside_config and not is_data_given else data


def put(content: dict[str, Any], change: str) -> None:
    """`TABLE.KEY=VALUE` into a file's content; the value is TOML, or else a plain word. Raises TOMLDecodeError."""
    name, sign, text = change.partition("=")
    *tables, key = name.strip().split(".")
    if not sign or not key:
        raise ConfigurationRefused("--set", f"{change!r} has no value", next_step="Write it as train.epochs=50.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise ConfigurationRefused("--set", f"{name.strip()}: {table} is no table", next_step="Name a key of one.")
    content[key] = value


def problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    """One line a problem: the key, what is wrong with it, and the nearest valid name of an unknown one."""
    key = ".".join(str(part) for part in location if part not in DATASETS and not FORM.match(str(part))) or "file"
    if kind != "extra_forbidden":
        words = FORMS.get(key, message) if kind == "string_pattern_mismatch" else IN_TOML.get(kind, message)
        words = words.removeprefix("Value error, ").removeprefix("Tuple ").replace("Input should be", "must be")
        return f"{key}: {words}"
    near = difflib.get_close_matches(str(location[-1]), names_of(location[:-1]), n=1)
    return f"{key}: unknown key" + (f"; did you mean {near[0]}?" if near else "")


def names_of(location: tuple[int | str, ...]) -> list[str]:
    """The keys that a table of the file may hold."""
    fields: Mapping[str, object] = Config.model_fields
    for part in location:
        named = Config.model_fields.get(str(part))
        sections = [DATASETS.get(str(part)), named and named.annotation, *get_args(named and named.annotation)]
        fields = next((one.model_fields for one in sections if isinstance(one, type) and issubclass(one, Section)), {})
    return list(fields)
