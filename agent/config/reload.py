"""Which settings change under a running agent, and which wait for its restart."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.config.lines import Key
from agent.config.settings import Settings, SourceSettings, Table

LIVE: frozenset[Key] = frozenset(
    {
        ("agent", "snapshot_every"),
        ("agent", "status_every"),
        ("agent", "max_delay"),
        ("publish", "scores"),
    }
)


@dataclass(frozen=True, slots=True)
class Change:
    """A key whose value in the file is another one than what runs; "" for one that is not there."""

    key: str
    running: str
    file: str


def apply(running: Settings, file: Settings) -> tuple[Settings, list[Change], list[Change]]:
    """The settings to run with from now on, what changes with them, and what needs a restart and was left."""
    old, new = dict(_leaves(running)), dict(_leaves(file))
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    told = {key: Change(".".join(map(str, key)), str(old.get(key, "")), str(new.get(key, ""))) for key in changed}
    tables = {
        table: getattr(running, table).model_copy(update={name: new[table, name] for of, name in LIVE if of == table})
        for table in {str(table) for table, _ in LIVE}
    }
    live = [change for key, change in told.items() if key in LIVE]
    left = [change for key, change in told.items() if key not in LIVE]
    return running.model_copy(update=tables), live, left


def _leaves(table: Table) -> Iterator[tuple[Key, object]]:
    """Every key with its value; a source goes by its name."""
    for name, value in table:
        if isinstance(value, Table):
            yield from (((name, *key), inner) for key, inner in _leaves(value))
        elif isinstance(value, tuple):
            for source in value:
                yield from _source(source)
        elif value is not None:
            yield (name,), value


def _source(source: SourceSettings) -> Iterator[tuple[Key, object]]:
    yield from (((f"source[{source.name}]", *key), inner) for key, inner in _leaves(source))
