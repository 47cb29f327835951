"""A replay as JUnit XML, which every CI server shows: a test case for each requirement and for each device.

A device fails only when a requirement does that it is to blame for, so that the file has a failure exactly when the
command says 1. Its outcome is told in any case.
"""

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from agent.replay.require import Checked
from agent.replay.result import Replay, by_head
from agent.replay.wording import faults_of_device, natural, outcome_text
from agent.score.early_warning import DeviceResult
from agent.score.time_unit import Unit

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(replay: Replay, checked: Sequence[Checked], unit: Unit) -> bytes:
    """The bytes of the file, UTF-8; the same for the same replay."""
    root = ElementTree.Element("testsuites", name="forewarn replay")
    _suite(root, "requirements", replay, [_of_requirement(one) for one in checked], unit)
    for head, view in by_head(replay).items():
        suite = "devices" if head == replay.head else f"devices.{head}"
        of_head = [one for one in checked if (one.requirement.head or replay.head) == head]
        devices = sorted(view.early_warning.devices, key=lambda one: natural(one.device))
        _suite(root, suite, view, [_of_device(suite, one, view, of_head, unit) for one in devices], unit)
    ElementTree.indent(root)
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _suite(
    root: ElementTree.Element, name: str, replay: Replay, cases: Iterable[ElementTree.Element], unit: Unit
) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=f"forewarn.{name}")
    properties = ElementTree.SubElement(suite, "properties")
    limit = replay.limit
    for key, value in (
        ("bundle.name", replay.bundle.name),
        ("bundle.version", replay.bundle.version),
        ("bundle.digest", replay.bundle.digest),
        ("budget", limit.budget + (" (extrapolated)" if limit.extrapolated else "")),
        ("threshold", f"{limit.threshold:.6g}"),
        ("calibration", limit.verdict),
        ("exposure", unit.text(replay.early_warning.exposure_s)),
        ("through", replay.through),
        ("first_seen", replay.first_seen),
    ):
        ElementTree.SubElement(properties, "property", name=key, value=_clean(value))
    suite.extend(cases)
    counts = {kind: len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "skipped")}
    n_cases = len(suite.findall("testcase"))
    suite.attrib |= {
        "tests": str(n_cases), "failures": str(counts["failure"]), "errors": "0",
        "skipped": str(counts["skipped"]), "time": "0",
    }  # fmt: skip


def _of_requirement(checked: Checked) -> ElementTree.Element:
    case = _case("requirements", checked.requirement.text)
    text = f"{checked.requirement.text}: {checked.measured}"
    if not checked.is_met:
        blamed = f"; {', '.join(checked.blamed)}" if checked.blamed else ""
        _add(case, "failure", text + blamed, message=text, type="requirement")
    _add(case, "system-out", text)
    return case


def _of_device(
    suite: str, result: DeviceResult, replay: Replay, checked: Sequence[Checked], unit: Unit
) -> ElementTree.Element:
    case = _case(suite, result.device)
    text = outcome_text(result, unit) + (", alerted late" if result.late_alerts else "")
    if told := faults_of_device(replay, result.device):
        text += f", {told}"
    blamed_by = [each.requirement.text for each in checked if result.device in each.blamed]
    if blamed_by:
        _add(case, "failure", f"{text}; {', '.join(blamed_by)} is not met", message=text, type="device")
    elif result.outcome == "cut_off":
        _add(case, "skipped", "", message="cut off before its failure came near")
    _add(case, "system-out", text)
    return case


def _case(suite: str, name: str) -> ElementTree.Element:
    return ElementTree.Element("testcase", classname=f"forewarn.{suite}", name=_clean(name), time="0")


def _add(case: ElementTree.Element, tag: str, text: str, **attributes: str) -> None:
    element = ElementTree.SubElement(case, tag, {key: _clean(value) for key, value in attributes.items()})
    element.text = _clean(text)


def _clean(text: str) -> str:
    r"""Without the characters that XML has no way to write, as \x1b."""
    return _NOT_XML.sub(lambda found: ascii(found[0])[1:-1], text)
