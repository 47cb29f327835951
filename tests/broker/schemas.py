"""What agents say, checked against docs/schemas."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker

from tests.broker.listener import Heard
from tests.broker.running_agent import ROOT

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
KINDS = (
    *("available", "instance", "status", "alert", "event", "score", "intervention", "label", "handled"),
    *("cmd", "cmd_label", "cmd_alert"),
)
_FORMATS = FormatChecker([])


@_FORMATS.checks("date-time", raises=ValueError)
def _is_a_time_with_its_offset(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


VALIDATORS = {
    kind: Draft202012Validator(json.loads((FOLDER / f"{kind}.schema.json").read_text()), format_checker=_FORMATS)
    for kind in KINDS
}


def kind_of(topic: str) -> str:
    """The level of a topic after that of the node; of commands there are three forms."""
    first, *below = topic.removeprefix(f"{ROOT}/").split("/")
    if first != "cmd" or below[0] == "intervention":
        return first
    return "cmd_label" if below[0] == "label" else "cmd_alert"


def faults(topic: str, payload: bytes) -> list[str]:
    """What is wrong with one message, by the schema of its topic."""
    kind = kind_of(topic)
    if kind not in KINDS:
        return [f"{topic}: a topic that has no schema"]
    if kind == "alert" and payload == b"":
        return []
    value = payload.decode() if kind == "available" else json.loads(payload)
    return [f"{topic} {one.json_path}: {one.message}" for one in VALIDATORS[kind].iter_errors(value)]


def check(heard: Iterable[Heard]) -> None:
    """Every message of the agent fits the schema of its topic."""
    found = [fault for one in heard if one.topic.startswith(f"{ROOT}/") for fault in faults(one.topic, one.payload)]
    assert found == [], found[:5]
