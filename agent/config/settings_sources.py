"""Where settings come from, as sources of pydantic-settings: the environment wins over the files.

The library merges table by table and asks the sources in their order. What it leaves open is here: which variable is
which key, lists that are joined over several files, and the place of each value, so that every problem has file and
line.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from agent.config.gather import LISTS, Gathered, Place, Toml, merge
from agent.config.key_types import key_types, path_keys, tables_in
from agent.config.lines import Key
from agent.config.problem import Problem
from agent.config.renamed import RENAMED
from agent.near import near_miss

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
PREFIX, DELIMITER = "FOREWARN_", "__"


def settings_sources(
    settings: type[BaseSettings], gathered: Gathered, environ: Mapping[str, str]
) -> tuple[PydanticBaseSettingsSource, ...]:
    """All of them, the one that wins first. What they find wrong is added to `gathered.problems`."""
    types = dict(key_types(settings, gathered.table_names()))
    named = {_variable(key): key for key in types}
    variables = {variable: environ[variable] for variable in named if variable in environ}
    gathered.problems += _wrong_variables(environ, named)
    for variable in variables:
        gathered.places[named[variable]] = Place(f"environment {variable}", 0, Path())
    credentials = environ.get(CREDENTIALS_DIRECTORY)
    return (
        *([Credentials(settings, gathered, variables, Path(credentials))] if credentials is not None else []),
        Environment(
            settings, {named[variable]: _typed(text, types[named[variable]]) for variable, text in variables.items()}
        ),
        Files(settings, gathered),
    )


class WholeSource(PydanticBaseSettingsSource):
    """A source that gives all its tables at once, and is not asked for a field."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("called by sources that look for one field after the other")


class Environment(WholeSource):
    """FOREWARN_BROKER__PORT=8883 is `broker.port`, FOREWARN_BROKERS__LINE_2__PORT that of [brokers.line-2].

    The library's own source would take "30" for a duration, "yes" for true, and JSON for a table.
    """

    def __init__(self, settings: type[BaseSettings], values: Mapping[Key, object]) -> None:
        super().__init__(settings)
        self._values = values

    def __call__(self) -> dict[str, Any]:
        tables: Toml = {}
        for key, value in self._values.items():
            merge(tables, _nested(key, value))
        return tables


class Files(WholeSource):
    """What the files say; a path in them starts from the folder of its file.

    It is the last of the sources, and so the one that knows what all of them say together: `gathered.tables` has that
    afterwards, for the checks of each table by itself.
    """

    def __init__(self, settings: type[BaseSettings], gathered: Gathered) -> None:
        super().__init__(settings)
        self._gathered = gathered

    def __call__(self) -> dict[str, Any]:
        gathered = self._gathered
        for key in path_keys(self.settings_cls, gathered.table_names()):
            _resolve(gathered.tables, key, gathered.place(key).folder)
        for name, tables in gathered.lists.items():
            for index, table in enumerate(tables):
                for key in path_keys(next(tables_in(self.settings_cls.model_fields[name].annotation))):
                    _resolve(table, key, gathered.place((name, index, *key)).folder)
        merge(gathered.tables, self.current_state)
        return gathered.values()


class Credentials(WholeSource):
    """$CREDENTIALS_DIRECTORY, where systemd's LoadCredential puts secrets: a `password_file` without a slash is there.

    It completes what the other sources say, so it comes before them. A secret is no setting, only its place is: it is
    read when a connection is made, may be replaced without a restart, and can stand in no message.
    """

    def __init__(
        self, settings: type[BaseSettings], gathered: Gathered, variables: Mapping[str, str], folder: Path
    ) -> None:
        super().__init__(settings)
        self._gathered, self._variables, self._folder = gathered, variables, folder

    def __call__(self) -> dict[str, Any]:
        secrets: Toml = {}
        for key in path_keys(self.settings_cls, self._gathered.table_names()):
            text = self._variables.get(_variable(key), _enclosing(self._gathered.tables, key).get(str(key[-1])))
            if key[-1] == "password_file" and isinstance(text, str) and "/" not in text:
                merge(secrets, _nested(key, self._folder / text))
        return secrets


def _resolve(tables: object, key: Key, folder: Path) -> None:
    """Make the text at a key a path that starts from `folder`."""
    table, name = _enclosing(tables, key), str(key[-1])
    text = table.get(name)
    if isinstance(text, str):
        table[name] = folder / text


def _enclosing(tables: object, key: Key) -> Toml:
    """The table that a key stands in, an empty one where there is none."""
    for part in key[:-1]:
        tables = tables.get(part) if isinstance(tables, dict) else None
    return tables if isinstance(tables, dict) else {}


def _wrong_variables(environ: Iterable[str], named: Iterable[str]) -> Iterator[Problem]:
    """Those that seem to try to name a key and do not."""
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        what = "" if variable in named else _wrong_variable(variable, named)
        if what:
            yield Problem(f"environment {variable}", 0, "", what)


def _wrong_variable(variable: str, named: Iterable[str]) -> str:
    """Why a variable is refused; "" for one that does not look like ours (FOREWARN_DATA, or a service's address)."""
    for name in LISTS:
        if variable.startswith(f"{PREFIX}{name.upper()}{DELIMITER}"):
            return f"{name}s are set in files only"
    if variable.startswith(_variable(("brokers", ""))) and not any(
        one.startswith(variable[: variable.rindex(DELIMITER) + len(DELIMITER)]) for one in named
    ):
        return "there is no such [brokers.NAME]: a broker is named in a file, and its keys may come from here"
    for old, new in RENAMED.items():
        if "." in old and variable == _variable(old.split(".")):
            return f"is called {_variable(new.split('.'))} now"
    meant = next((name for name in named if name.replace("_", "") == variable.replace("_", "")), "")
    if meant:
        return f"two underscores stand between table and key: {meant}"
    return near_miss(variable, named) if DELIMITER in variable else ""


def _variable(key: Iterable[object]) -> str:
    """The variable of a key; a name's `-` and `.` may not stand in one."""
    return PREFIX + re.sub(r"[-.]", "_", DELIMITER.join(map(str, key)).upper())


def _nested(key: Key, value: object) -> Toml:
    first, *rest = key
    return {str(first): _nested(tuple(rest), value) if rest else value}


def _typed(text: str, kind: object) -> object:
    """A path, number or truth value where one is wanted and the text is one; else the text, for validation to judge."""
    if kind is Path:
        return Path(text)
    if kind in (int, float, bool):
        with suppress(ValueError, RecursionError):
            values = tomllib.loads(f"value = {text}")
            return values["value"] if len(values) == 1 else text
    return text
