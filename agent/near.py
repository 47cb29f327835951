"""A name that nobody knows, and the known one that was probably meant."""

import difflib
from collections.abc import Iterable


def near_miss(name: str, names: Iterable[str]) -> str:
    """What to say about a name that is not among the known ones."""
    meant = nearest(name, names)
    return f"there is no such key; the nearest is {meant}" if meant else "there is no such key"


def nearest(name: str, names: Iterable[str]) -> str:
    """The known name that looks most like it, "" for none."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)), "")
