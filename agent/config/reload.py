"""Which settings change under a running agent, and which wait for its restart."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from agent.config.gather import LISTS
from agent.config.lines import Key
from agent.config.plan import Plan
from agent.config.settings import Settings

LIVE: frozenset[Key] = frozenset(
    {
        ("agent", "snapshot_every"),
        ("agent", "snapshot_bytes_per_day_max"),
        ("agent", "status_every"),
        ("agent", "delay_max"),
        ("publish", "scores"),
    }
)

NOT_SET = "(not set)"


@dataclass(frozen=True, slots=True)
class Change:
    """A key whose value in the file is another one than what runs; NOT_SET for one that is empty or not there."""

    key: str
    running: str
    file: str


def apply(running: Settings, file: Settings) -> tuple[Settings, list[Change], list[Change]]:
    """The settings to run with from now on, what changes with them, and what needs a restart and was left."""
    old, new = dict(_leaves(running)), dict(_leaves(file))
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    changes = {key: Change(".".join(map(str, key)), _text(old.get(key)), _text(new.get(key))) for key in changed}
    tables = {
        table: getattr(running, table).model_copy(update={name: new[table, name] for of, name in LIVE if of == table})
        for table in {str(table) for table, _ in LIVE}
    }
    live = [change for key, change in changes.items() if key in LIVE]
    left = [change for key, change in changes.items() if key not in LIVE]
    return running.model_copy(update=tables), live, left


def _leaves(table: Iterable[tuple[str, object]]) -> Iterator[tuple[Key, object]]:
    """Every key with its value; a model or source goes by its name."""
    for name, value in table:
        if isinstance(value, BaseModel):
            yield from (((name, *key), inner) for key, inner in _leaves(value))
        elif isinstance(value, dict):
            yield from (((name, *key), inner) for key, inner in _leaves(value.items()))
        elif isinstance(value, tuple) and name in LISTS:
            for inner in value:
                yield from (((f"{name}[{inner.name}]", *key), leaf) for key, leaf in _leaves(inner))
        elif value is not None:
            yield (name,), value


def _text(value: object) -> str:
    """A value for the log."""
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return NOT_SET if value is None or not text else text


def replaced_bundles(running: Plan, file: Plan) -> list[Change]:
    """The models whose bundle is another one now in the same file; it waits for a restart."""
    runs = {(model.name, model.bundle.path): model.bundle.digest for model in running.models}
    now = {(model.name, model.bundle.path): model.bundle.digest for model in file.models}
    return [
        Change(f"model[{name}].bundle", runs[name, path], digest)
        for (name, path), digest in now.items()
        if runs.get((name, path), digest) != digest
    ]
