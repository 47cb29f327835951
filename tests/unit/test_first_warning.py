"""docs/first-warning.md shows what its commands printed, and its fans wear as it says."""

import json
import re

import numpy as np

from docs import fans
from docs.figures import FIGURES, FIRST_STEPS
from docs.first_warning import PAGE, steps

RECORDED = json.loads((FIGURES / "first_warning.json").read_text())["steps"]


def output(name: str) -> str:
    (found,) = (step["output"] for step in RECORDED if step["name"] == name)
    return found


def test_the_commands_of_the_page_are_those_that_were_run():
    assert tuple(steps()) == FIRST_STEPS
    assert {step["name"]: step["commands"] for step in RECORDED} == steps(), "run `python -m docs.first_warning`"


def test_the_budget_of_the_page_is_the_one_that_fit_names():
    (named,) = re.findall(r'can vouch for is ("[^"]+")', output("fit"))
    assert set(re.findall(r'budget(?: = | )("[^"]+")', PAGE.read_text().split("## 4.")[1])) == {named}


def test_the_warning_is_of_the_fan_that_wears_and_by_what_wear_shows_in():
    alert = json.loads(output("alert"))
    assert (alert["device"], alert["head"]) == (f"fan-{fans.WORN:02d}", "anomaly")
    assert "vibration" in [one["channel"] for one in alert["contribution"][:2]]


def test_one_fan_wears_and_no_other(monkeypatch):
    """Without its wear it shows the same until day 18, and less vibration after it."""
    worn = fans.rows_of(fans.WORN)
    monkeypatch.setattr(fans, "WORN", 0)
    sound = fans.rows_of(7)
    begin, end = (round(day * fans.ROWS_A_DAY) for day in fans.WEAR_DAYS)
    assert len(worn) == end
    assert np.array_equal(worn[: begin + 1], sound[: begin + 1])
    assert worn[end - 288 :, 4].mean() > 1.5 * sound[end - 288 : end, 4].mean()
