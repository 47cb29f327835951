"""What the card tells of the recordings' own columns, codes and words."""

import msgspec
import pytest

from agent.bundle.manifest import RunsWhile
from tests.small_bundle import small_manifest
from tests.trainer.fleet import small_config
from tests.trainer.recordings import table
from trainer.bundle.model_card import channels_section, data_section, dealt_out
from trainer.data.split import Split


def test_the_card_tells_what_stood_for_values() -> None:
    first, second, third = small_manifest().channels
    first = msgspec.structs.replace(first, column="T 1", missing=(-9999.0,), missing_words=("NA",))
    second = msgspec.structs.replace(second, words={"ON": 1.0, "OFF": 0.0})
    told = channels_section(msgspec.structs.replace(small_manifest(), channels=(first, second, third)))
    assert told.endswith("likewise:\n\n- temp: column `T 1`, -9999, `NA` = no value\n- load: `ON` = 1, `OFF` = 0")
    assert channels_section(small_manifest()).endswith("| wear | - | -2 to 3 |  |")


def test_a_recording_that_is_cut_at_two_dates_is_not_told_as_machines() -> None:
    """Five machines on each side of both dates are not fifteen."""
    by_machine = small_config()
    of = msgspec.structs.replace(
        small_manifest().created_from,
        fit_devices=tuple("abcdefgh"),
        calibrate_devices=("i", "j", "k"),
        play_devices=("l",),
    )
    manifest = msgspec.structs.replace(small_manifest(), created_from=of)
    assert " ".join(dealt_out(manifest, by_machine, "thresholds").split()) == (
        "dealt out whole by seed 0: 8 fitted, 3 for thresholds, 1 held out"
    )
    by_time = small_config(split=Split(by="time", fit=5, calibrate=3, play=2))
    assert " ".join(dealt_out(manifest, by_time, "thresholds").split()) == (
        "cut at two dates into rows as 5 : 3 : 2: the first fitted, the second for thresholds, the last held out"
    )
    assert "of the first two parts that failed" in data_section(manifest, by_time)


@pytest.mark.parametrize(
    ("keys", "known"),
    [
        ({"failures": None}, "without labels"),
        ({"faults": "f.csv"}, "failures from failures.csv and faults from f.csv"),
        ({"failures": None, "label": "anomaly"}, "faults in column anomaly"),
        ({"failures": None, "run_to_failure": True}, "each run to its failure"),
    ],
)
def test_the_card_tells_of_labels_that_there_were(keys: dict[str, object], known: str) -> None:
    assert table(**keys).subject.source == f"Recordings from rows.csv, {known}"


def test_the_card_tells_when_a_machine_runs() -> None:
    channel = msgspec.structs.replace(small_manifest().channels[0], name="on", words={"ON": 1.0})
    for after_s, told in ((0.0, ""), (5.0, ", from 5 cycles after it rose above that")):
        manifest = msgspec.structs.replace(small_manifest(), runs=RunsWhile(channel, 0.5, after_s))
        card = channels_section(manifest)
        assert "- on: `ON` = 1" in card
        assert card.endswith(f"A machine runs while `on` is above 0.5{told}. Rows of other times are left out.")
