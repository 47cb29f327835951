"""What the card tells of the recordings' own columns, codes and words."""

import msgspec

from tests.small_bundle import small_manifest
from trainer.bundle.model_card import channels_section


def test_the_card_tells_what_stood_for_values() -> None:
    first, second, third = small_manifest().channels
    first = msgspec.structs.replace(first, column="T 1", missing=(-9999.0,), missing_words=("NA",))
    second = msgspec.structs.replace(second, words={"ON": 1.0, "OFF": 0.0})
    told = channels_section(msgspec.structs.replace(small_manifest(), channels=(first, second, third)))
    assert told.endswith("likewise:\n\n- temp: column `T 1`, -9999, `NA` = no value\n- load: `ON` = 1, `OFF` = 0")
    assert channels_section(small_manifest()).endswith("| wear | - | -2 to 3 |  |")
