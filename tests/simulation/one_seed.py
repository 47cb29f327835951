"""A history and its judgement; a history that fails, made smaller for as long as it still fails."""

import gc
import hashlib
import traceback
from collections.abc import Iterator

import msgspec

from tests.simulation.history import History
from tests.simulation.oracle import judge
from tests.simulation.plan import Mode, Plan, draw

Seed = tuple[int, Mode]
TRIES_MAX = 300


def play(plan: Plan) -> tuple[list[str], History]:
    """What is wrong with the history of a plan, and the history. An error that nobody expects is wrong too."""
    history = History(plan)
    try:
        history.run()
        return judge(history), history
    except Exception:  # noqa: BLE001 - whatever the agent raises is a finding
        return [f"{traceback.format_exc(limit=-6)}"], history


def why_wrong(seed: Seed) -> tuple[Seed, str]:
    """The seed, and what is wrong first with its history, "" for nothing."""
    wrong, _ = play(draw(*seed))
    if not gc.isenabled():
        gc.collect()
    return seed, wrong[0] if wrong else ""


def collect_between() -> None:
    """Collect garbage between histories only: within them it costs a fifth of their time."""
    play(draw(0, "journal"))  # imports what the agent imports late
    gc.collect()
    gc.freeze()
    gc.disable()


def digest(history: History) -> str:
    """Of all that has happened: equal for two histories of one plan."""
    content = hashlib.sha256(repr(history.trace).encode())
    content.update(history.final)
    return content.hexdigest()


def shrink(plan: Plan) -> Plan:
    """A smaller plan whose history is wrong too."""
    left = TRIES_MAX
    is_smaller = True
    while is_smaller and left:
        is_smaller = False
        for smaller in _smaller(plan):
            left -= 1
            if play(smaller)[0]:
                plan, is_smaller = smaller, True
                break
            if not left:
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Without a fault, without a part of the messages, without a peaceful end's opposite."""
    for at in range(len(plan.faults)):
        yield msgspec.structs.replace(plan, faults=plan.faults[:at] + plan.faults[at + 1 :])
    if plan.ends_by != "peace":
        yield msgspec.structs.replace(plan, ends_by="peace")
    for topic in sorted({said.topic for said in plan.said}):
        yield msgspec.structs.replace(plan, said=tuple(said for said in plan.said if said.topic != topic))
    size = len(plan.said) // 2
    while size:
        for at in range(0, len(plan.said), size):
            yield msgspec.structs.replace(plan, said=plan.said[:at] + plan.said[at + size :])
        size //= 2
