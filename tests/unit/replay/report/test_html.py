"""The report as a file: whole, self-contained, escaped, and honest about what it does not know."""

import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from agent.bundle import file
from agent.replay.inline import play_inline
from agent.replay.messages import source_for, stream
from agent.replay.options import Budgets
from agent.replay.report.html import render
from agent.replay.result import Replay, as_json
from agent.replay.wording import natural, summary
from agent.score.time_unit import unit_of
from tests.bundles import write_small_bundle
from tests.recorded import worn
from tests.replays import replay_of
from tests.small_bundle import small_manifest

SOURCE = source_for(small_manifest(), "rig/{device}/cycle")
EVIL = "<b>$x_1$ & 'p'\""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return file.read(write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.fwb"))


def found(bundle, recorded, truth, budget: str = "1 per 1000 cycles") -> Replay:
    return replay_of(bundle, recorded, truth, Budgets(budget))


@pytest.fixture(scope="module")
def replay(bundle):
    """One of each: warned in time, warned too early, never warned, and one that does not fail."""
    recorded = [worn(EVIL, 90, missing=[7]), worn("early", 200), worn("quiet", 90, wear_from=900), worn("sound", 60)]
    truth = {EVIL: 90.0, "early": 200.0, "quiet": 90.0, "sound": None}
    return found(bundle, recorded, truth)


@pytest.fixture(scope="module")
def html(bundle, replay):
    return render(replay, unit_of(bundle.manifest))


@pytest.mark.slow
def test_the_page_is_one_file_that_needs_nothing_else(html):
    links = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s>]+)', html)
    assert [link for link in links if not link.startswith("#")] == []
    assert "<script" not in html
    assert len(html) < 2_000_000


@pytest.mark.slow
def test_every_tag_is_closed(html):
    class Balance(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br", "path", "use", "rect"):
                self.open.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            if tag not in ("path", "use", "rect"):
                assert self.open.pop() == tag

    balance = Balance()
    balance.feed(html)
    assert balance.open == []


def test_device_ids_are_escaped(html):
    assert "<b>$x" not in html
    assert "&lt;b&gt;$x_1$ &amp;" in html


def test_colours_follow_the_page(html):
    assert re.findall(r"#01020\d", html) == []
    assert "var(--risk)" in html


def test_missed_faults_have_reasons(html):
    assert "raised too early, 1" in html
    assert "never raised" in html


def test_devices_are_in_the_order_that_people_count_in():
    assert sorted(["p10", "p9", "a", "10", "9"], key=natural) == ["9", "10", "a", "p9", "p10"]


def test_says_that_few_failures_prove_little(html, replay):
    assert replay.early_warning.failures == 3
    assert "3 failures prove little" in html


@pytest.mark.slow
def test_an_extrapolated_threshold_is_marked(bundle):
    fine = found(bundle, [worn("p", 90)], {"p": 90.0}, "1 per 100000 cycles")
    html = render(fine, unit_of(bundle.manifest))
    assert (
        "<b>The threshold is extrapolated:</b> at this threshold 9 of the 10 calibration failures were warned of "
        "(as many alarms at random times would warn of 2.2); "
        "time in false alarm: 0.0% of at most 10%; the finest budget that the calibration devices can vouch for "
        'is "1 per 660 cycles".'
    ) in html
    assert "1 per 100000 cycles = 0.01 per 1000 cycles, extrapolated" in html


def test_text_and_json_say_what_the_threshold_would_have_warned_of(bundle, replay):
    said = "at this threshold 10 of the 10 calibration failures were warned of (as many alarms at random "
    said += "times would warn of 2.8); time in false alarm: 2.0%"
    assert summary(replay, unit_of(bundle.manifest)).splitlines()[-1].startswith(said)
    limit = msgspec.json.decode(as_json(replay))["limit"]
    assert (limit["warned_of"], limit["failures"], limit["alarm_share"]) == (10, 10, 0.02)
    assert (limit["finest_budget"], limit["verdict"][: len(said)]) == ("1 per 660 cycles", said)


def test_what_chance_would_give_is_told(bundle, replay, html):
    score = replay.early_warning
    assert 0 < score.by_chance < score.failures == 3
    words = f"s many alarms at random times would warn of {score.by_chance:.2g}"
    assert f"A{words} of the 3 failures." in html
    assert f"a{words}" in summary(replay, unit_of(bundle.manifest))


def test_time_in_false_alarm_is_told(bundle, replay, html):
    share = f"{replay.early_warning.false_alarm_share:.1%}"
    assert share not in ("0.0%", "nan%")
    assert share in summary(replay, unit_of(bundle.manifest))
    assert f"<td>{share}</td>" in html


@pytest.mark.slow
def test_a_fleet_without_a_failure_has_a_report_too(bundle):
    html = render(found(bundle, [worn("p", 5)], {"p": None}), unit_of(bundle.manifest))
    assert "No recorded failure could be judged" in html
    assert "nan" not in html


def test_json_holds_every_row_to_the_bit(bundle, replay):
    read = msgspec.json.decode(as_json(replay))
    assert read["schema_version"] == 1
    assert read["rows"] == sum(len(one["t_s"]) for one in read["devices"]) == 440
    assert [one["device"] for one in read["devices"]] == [one.device for one in replay.devices]
    assert read["devices"][0]["quality"][:4] == ["warming_up", "warming_up", "ok", "ok"]
    assert [one["t_s"][-1] for one in read["devices"]] == [90, 200, 90, 60]
    assert [one["exposure_s"] for one in read["early_warning"]["devices"]] == [90, 200, 90, 60]
    assert read["early_warning"]["strict"]["missed"] == ["early", "quiet"]
    played = play_inline(bundle, bundle.model, stream([worn(EVIL, 90, missing=[7])], SOURCE), 0.5)[0]
    evil = next(one for one in read["devices"] if one["device"] == EVIL)
    assert np.float32(evil["risk"]).tobytes() == played.risk.tobytes()
    assert np.float32(evil["rul_s"]).tobytes() == played.rul.tobytes()
