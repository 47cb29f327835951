"""Files -> one dict, with the place of every key.

The main file, then `conf.d/*.toml` beside it in the order of their names: tables are merged key by key and the later
one wins, lists of tables (`LISTS`) are joined.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.config.lines import Key, lines
from agent.config.problem import Problem
from agent.config.renamed import renamed
from agent.words import MAIN_MODEL

FILE_BYTES_MAX = 2**20
LISTS = {"model": MAIN_MODEL, "source": ""}  # written [[model]]; the name of one that gives none
NAMED = ("brokers",)  # tables of tables, written [brokers.NAME]
Toml = dict[str, object]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key stands; for a key from the environment `file` is its variable."""

    file: str
    line: int
    folder: Path  # that a relative path in it starts from


@dataclass(slots=True)
class Gathered:
    """What the files say, the place of each key, and what could not be read (then `is_partial`)."""

    main: Path
    tables: Toml = field(default_factory=dict)
    lists: dict[str, list[object]] = field(default_factory=lambda: {name: [] for name in LISTS})
    places: dict[Key, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    is_partial: bool = False

    def values(self) -> Toml:
        """One dict of all keys."""
        return {**self.lists, **self.tables}

    def names(self, table: str) -> list[str]:
        """The name of each table of a list, "" for one without."""
        return [_name(table, value) for value in self.lists[table]]

    def table_names(self) -> dict[str, list[str]]:
        """The names of the tables in each table of tables, `[brokers.NAME]`."""
        return {table: [*found] for table in NAMED if isinstance(found := self.tables.get(table), dict)}

    def place(self, key: Key) -> Place:
        """Where a key, or what encloses it, stands."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key) or Place(str(self.main), 0, self.main.parent)

    def report(self, key: Key, what: str) -> None:
        self.problems.append(self.problem(key, what))

    def problem(self, key: Key, what: str) -> Problem:
        place = self.place(key)
        return Problem(place.file, place.line, self.text(key), what)

    def text(self, key: Key) -> str:
        """`broker.port`; a model or source goes by its name: `source[press].topic`."""
        parts: list[str] = []
        for depth, part in enumerate(key):
            if isinstance(part, str):
                parts.append(part if part.isprintable() else ascii(part))
            else:
                name = _name(str(key[0]), self.lists[str(key[0])][part]) if depth == 1 else ""
                parts[-1] += f"[{name or part + 1}]"
        return ".".join(parts)


def gather(path: Path) -> Gathered:
    """Read the main file (a folder means its forewarn.toml) and what is beside it; what cannot be is a problem."""
    gathered = Gathered(path)
    try:
        main = gathered.main = path / "forewarn.toml" if path.is_dir() else path
        files = (main, *sorted((main.parent / "conf.d").glob("*.toml")))
    except OSError as error:
        _refuse(gathered, path, (error.strerror or str(error)).lower())
        return gathered
    for file in files:
        _read(file, gathered)
    return gathered


def _read(file: Path, gathered: Gathered) -> None:
    try:
        if file.exists() and not file.is_file():
            raise ValueError("is not a file")
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ValueError(f"is larger than {FILE_BYTES_MAX // 2**20} MiB")
        text = data.decode()
        values = tomllib.loads(text)
    except OSError as error:
        _refuse(gathered, file, (error.strerror or str(error)).lower())
    except UnicodeDecodeError as error:
        _refuse(gathered, file, "is not UTF-8 text", error.object.count(b"\n", 0, error.start) + 1)
    except RecursionError:
        _refuse(gathered, file, "is nested too deeply")
    except tomllib.TOMLDecodeError as error:
        at = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", str(error), re.DOTALL)
        what, line = (at[1], int(at[2])) if at else (str(error), 0)
        _refuse(gathered, file, f"is not TOML: {what}", line)
    except ValueError as error:
        _refuse(gathered, file, str(error))
    else:
        _take(file, values, dict(lines(text)), gathered)


def _refuse(gathered: Gathered, file: Path, what: str, line: int = 0) -> None:
    gathered.problems.append(Problem(str(file), line, "", what))
    gathered.is_partial = True


def _take(file: Path, values: Toml, known_lines: Mapping[Key, int], gathered: Gathered) -> None:
    """Join the sources, merge the rest."""

    def place(key: Key) -> Place:
        while key and key not in known_lines:
            key = key[:-1]
        return Place(str(file), known_lines.get(key, 0), file.parent)

    for name, taken in gathered.lists.items():
        value = values.get(name)
        if isinstance(value, dict) and renamed(name):
            gathered.problems.append(Problem(str(file), place((name,)).line, name, renamed(name)))
            del values[name]
            if not taken:  # its keys are looked at all the same
                _take_table(name, value, (name,), place, gathered)
        elif isinstance(value, list):
            del values[name]
            for index, table in enumerate(value):
                _take_table(name, table, (name, index), place, gathered)
    for key in _keys(values):
        gathered.places[key] = place(key)
    merge(gathered.tables, values)


def _take_table(of: str, table: object, at: Key, place: Callable[[Key], Place], gathered: Gathered) -> None:
    """One table of the list `of`, which stands `at` that key in its file, whose places `place` knows."""
    taken, names, name = gathered.lists[of], gathered.names(of), _name(of, table)
    new: Key = (of, len(taken))
    for key in ((), *_keys(table)):
        gathered.places[(*new, *key)] = place((*at, *key))
    taken.append(table)
    if name and name in names:
        first = gathered.place((of, names.index(name), "name"))
        what = f"{name!r} is the name of the {of} at {first.file}:{first.line}"
        if isinstance(table, dict) and "name" not in table:
            what = f"a {of} without one is called {name!r}, as that at {first.file}:{first.line} is: give each a `name`"
        gathered.report((*new, "name"), what)


def _name(of: str, table: object) -> str:
    """What a table of the list `of` is called, "" for nothing."""
    name = table.get("name", LISTS[of]) if isinstance(table, dict) else None
    return name if isinstance(name, str) else ""


def merge(into: Toml, values: Toml) -> None:
    """Table by table and key by key; what comes later wins."""
    for name, value in values.items():
        old = into.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            merge(old, value)
        else:
            into[name] = value


def _keys(value: object) -> Iterator[Key]:
    """The keys of nested tables."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (name,)
            for key in _keys(inner):
                yield (name, *key)
