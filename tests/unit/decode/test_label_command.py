"""What a label command may say, and what becomes of one that is broken."""

import json

import numpy as np
import pytest

from agent.core import Bounds, Core
from agent.decode.label_command import LABEL_COMMAND
from agent.sources import Source
from agent.words import AlertLabel
from tests.streams import SOURCE, core, life, model, take

LABELS = Source(
    name="cmd/label/press",
    topics=("f/n/cmd/label/press",),
    time_field="t",
    time_unit="iso8601",
    channels=(),
    tags=(("alert", "alert"),),
    device="{alert}",
    codec=LABEL_COMMAND,
    joins="press",
)
GOOD = {"alert": "ab12", "label": "good", "t": "2026-11-28T06:30:00Z", "note": "inner ring", "by": "anna"}


def command(**changes: object) -> tuple[str, bytes]:
    return LABELS.topics[0], json.dumps(GOOD | changes).encode()


def labelled(*messages: tuple[str, bytes]):
    """What a core with the source of labels makes of messages."""
    commanded = Core((SOURCE, LABELS), (model(SOURCE),), Bounds())
    return take(commanded, list(messages)), commanded


def test_a_label_is_read_whole_and_belongs_to_the_source_of_its_topic():
    taken, _ = labelled(command())
    assert taken.alert_labels == [AlertLabel("ab12", "good", 1_795_847_400 * 10**9, "inner ring", "anna", "press")]


def test_without_a_time_it_is_that_of_arrival():
    taken, commanded = labelled(command(t=None))
    (label,) = taken.alert_labels
    assert label.t_ns == commanded.log_time_ns


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"label": "maybe"}, "wrong_type"),
        ({"label": "note", "note": ""}, "wrong_type"),
        ({"alert": ""}, "wrong_type"),
        ({"alert": "a" * 65}, "wrong_type"),
        ({"note": "x" * 501}, "wrong_type"),
        ({"by": "x" * 101}, "wrong_type"),
        ({"t": "yesterday"}, "impossible_time"),
        ({"t": "1066-10-14T12:00:00Z"}, "impossible_time"),
        ({"t": 5}, "wrong_type"),
        ({"severity": "high"}, "wrong_type"),
    ],
)
def test_a_broken_one_is_counted_and_the_next_one_taken(changes, reason):
    taken, commanded = labelled(command(**changes), command())
    assert len(taken.alert_labels) == 1
    assert commanded.counts == {("cmd/label/press", reason): 1}


def test_labels_among_rows_change_no_score_and_no_alert_wherever_the_input_is_split():
    """Laws 1 and 2: a core that is told nothing gives the same to the bit."""
    rows = life("p1", 60)
    messages = [*rows[:30], command(), command(label="bad"), *rows[30:], command(label="note")]
    whole, _ = labelled(*messages)
    plain = take(core(), rows)
    assert [one.alert for one in whole.alerts] == [one.alert for one in plain.alerts] != []
    for head, output in plain.scores[0].outputs.items():
        assert whole.scores[0].outputs[head].tobytes() == output.tobytes()
    pieces = Core((SOURCE, LABELS), (model(SOURCE),), Bounds())
    apart = [take(pieces, [message]) for message in messages]
    assert [label for taken in apart for label in taken.alert_labels] == [*whole.alert_labels]
    risk = np.concatenate([taken.scores[0].outputs["risk"] for taken in apart])
    assert risk.tobytes() == whole.scores[0].outputs["risk"].tobytes()
