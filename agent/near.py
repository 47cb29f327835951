"""A name that nobody knows, and the known one that was probably meant."""

import difflib
from collections.abc import Iterable


def near_miss(name: str, known: Iterable[str]) -> str:
    """What to say about a name that is not among the known ones."""
    found = nearest(name, known)
    return f"there is no such key; the nearest is {found}" if found else "there is no such key"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like it, "" for none."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), "")
