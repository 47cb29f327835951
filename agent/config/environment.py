"""FOREWARN_BROKER__PORT=8883 in the environment is `broker.port`, and wins over the files."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.config.gather import LISTS, Gathered, Place, Toml, merge
from agent.config.lines import Key
from agent.config.problem import Problem
from agent.config.renamed import RENAMED
from agent.near import near_miss

ENVIRONMENT = "environment"


def take_environment(gathered: Gathered, environ: Mapping[str, str], types: Mapping[Key, object]) -> None:
    """Merge the variables that name a key of `types`; those that seem to try to are among the problems."""
    known = {_variable(key): key for key in types}
    for variable in sorted(name for name in environ if name.startswith("FOREWARN_")):
        key = known.get(variable)
        if key is not None:
            gathered.places[key] = Place(f"{ENVIRONMENT} {variable}", 0, Path())
            merge(gathered.tables, _nested(key, _typed(environ[variable], types[key])))
            continue
        what = _wrong_variable(variable, known)
        if what:
            gathered.problems.append(Problem(f"{ENVIRONMENT} {variable}", 0, "", what))


def _wrong_variable(variable: str, known: Iterable[str]) -> str:
    """Why a variable is refused; "" for one that does not look like ours (FOREWARN_DATA, or a service's address)."""
    for name in LISTS:
        if variable.startswith(f"FOREWARN_{name.upper()}__"):
            return f"{name}s are set in files only"
    for old, new in RENAMED.items():
        if "." in old and variable == _variable(old.split(".")):
            return f"is called {_variable(new.split('.'))} now"
    meant = next((name for name in known if name.replace("_", "") == variable.replace("_", "")), "")
    if meant:
        return f"two underscores stand between table and key: {meant}"
    return near_miss(variable, known) if "__" in variable else ""


def _variable(key: Iterable[object]) -> str:
    """The variable of a key."""
    return "FOREWARN_" + "__".join(map(str, key)).upper()


def _nested(key: Key, value: object) -> Toml:
    first, *rest = key
    return {str(first): _nested(tuple(rest), value) if rest else value}


def _typed(text: str, wanted: object) -> object:
    """A number or a truth value where one is wanted and the text is one; else the text, for validation to refuse."""
    if wanted in (int, float, bool):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except ValueError:
            return text
    return text
