"""The JUnit file: well-formed whatever a device is called, and red exactly when the command is."""

from xml.etree import ElementTree

import msgspec
import pytest

from agent.bundle import file
from agent.replay.options import Budgets
from agent.replay.report.junit import as_junit
from agent.replay.require import Requirement, check
from agent.replay.result import Replay
from agent.score.early_warning import DeviceResult
from agent.score.time_unit import unit_of
from tests.bundles import write_small_bundle
from tests.recorded import worn
from tests.replays import replay_of
from tests.small_bundle import small_manifest

UNIT = unit_of(small_manifest())
BUDGET = "1 per 1000 cycles"


@pytest.fixture(scope="module")
def replay(tmp_path_factory) -> Replay:
    bundle = file.read(write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.fwb"))
    recorded = [worn("cut", 20), worn("p10", 90), worn("p9", 90, wear_from=900), worn("sound", 60, wear_from=900)]
    truth = {"cut": 400.0, "p10": 90.0, "p9": 90.0, "sound": None}
    return replay_of(bundle, recorded, truth, Budgets(BUDGET))


def written(replay: Replay, *required: str) -> ElementTree.Element:
    """Read back by a parser that checks that it is well-formed, and held against what CI servers accept."""
    checked = [check(Requirement.parse(text, counts_cycles=True), replay, UNIT) for text in required]
    root = ElementTree.fromstring(as_junit(replay, checked, UNIT))
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        assert set(suite.attrib) == {"name", "tests", "failures", "errors", "skipped", "time"}
        assert [one.tag for one in suite] == ["properties"] + ["testcase"] * int(suite.get("tests"))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(name)) == len(suite.findall(f"testcase/{tag}"))
        assert all(set(one.attrib) == {"name", "value"} and len(one) == 0 for one in suite.find("properties"))
        for case in suite.findall("testcase"):
            assert set(case.attrib) == {"classname", "name", "time"}
            assert [one.tag for one in case] in (["system-out"], ["failure", "system-out"], ["skipped", "system-out"])
    return root


def failed(root: ElementTree.Element) -> list[str]:
    return [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]


def test_a_case_for_each_requirement_and_each_device_in_the_order_of_people(replay):
    root = written(replay, "failures==2", "late==0")
    assert [suite.get("name") for suite in root] == ["forewarn.requirements", "forewarn.devices"]
    assert [[case.get("name") for case in suite.findall("testcase")] for suite in root] == [
        ["failures == 2", "late == 0"],
        ["cut", "p9", "p10", "sound"],
    ]
    told = {case.get("name"): case.findtext("system-out") for case in root.iter("testcase")}
    assert told["p9"] == "missed"
    assert told["p10"].startswith("warned ")
    assert told["failures == 2"] == "failures == 2: 2"


def test_a_device_is_red_only_for_a_requirement_that_is_not_met(replay):
    assert failed(written(replay)) == []
    assert failed(written(replay, "detection>=0.5")) == []
    root = written(replay, "detection>=0.5", "missed==0", "false_alarms<=9")
    assert failed(root) == ["missed == 0", "p9"]
    red = next(case for case in root.iter("testcase") if case.get("name") == "p9").find("failure")
    assert (red.get("message"), red.text) == ("missed", "missed; missed == 0 is not met")
    assert root.find("testsuite/testcase/failure").text == "missed == 0: 1; p9"


def test_a_late_alert_is_told_and_red_where_none_is_allowed(replay):
    late = msgspec.structs.replace(a_device(replay, "p9"), late_alerts=1)
    found = msgspec.structs.replace(replay.early_warning, late=("p9",), devices=(late,))
    root = written(msgspec.structs.replace(replay, early_warning=found), "late==0", "detection>=0.5")
    assert failed(root) == ["late == 0", "p9"]
    assert root.findall("testsuite/testcase/failure")[-1].text == "missed, alerted late; late == 0 is not met"


def test_a_device_that_cannot_be_judged_is_skipped(replay):
    cases = {case.get("name"): case for case in written(replay).iter("testcase")}
    assert cases["cut"].find("skipped").get("message") == "cut off before its failure came near"
    assert cases["p9"].find("skipped") is None


def test_properties_say_what_was_tried(replay):
    root = written(replay)
    for suite in root:
        assert {one.get("name"): one.get("value") for one in suite.find("properties")} == {
            "bundle.name": "small",
            "bundle.version": "1.0.0",
            "bundle.digest": replay.bundle.digest,
            "budget": "1 per 1000 cycles (extrapolated)",
            "threshold": "0.5",
            "calibration": replay.limit.verdict,
            "exposure": "260 cycles",
            "through": "inline",
            "first_seen": "unknown",
        }


@pytest.mark.parametrize(
    ("device", "shown"),
    [
        ('<b> & "p"', '<b> & "p"'),
        ("a\x00b\x1b[31m\x7f", "a\\x00b\\x1b[31m\x7f"),
        ("\ud800\ufffe", "\\ud800\\ufffe"),
        ("]]>", "]]>"),
        ("π 🜂\n\ttab", "π 🜂\n\ttab"),
    ],
)
def test_any_name_gives_a_well_formed_file(replay, device, shown):
    devices = (msgspec.structs.replace(a_device(replay, "p9"), device=device),)
    found = msgspec.structs.replace(
        replay.early_warning,
        devices=devices,
        strict=msgspec.structs.replace(replay.early_warning.strict, missed=(device,)),
    )
    hostile = msgspec.structs.replace(
        replay,
        early_warning=found,
        bundle=msgspec.structs.replace(replay.bundle, name=device),
    )
    root = written(hostile, "missed==0")
    assert failed(root) == ["missed == 0", shown]
    assert root.find("testsuite/properties/property").get("value") == shown


def a_device(replay: Replay, name: str) -> DeviceResult:
    return next(one for one in replay.early_warning.devices if one.device == name)
