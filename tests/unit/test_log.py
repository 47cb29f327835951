"""The drop log: rate-limited by source and reason, complete in its counts, safe to print."""

import json
import os
import select
import subprocess
import sys
import time
from collections import Counter

import msgspec
import pytest
import structlog
from structlog.testing import LogCapture

from agent import log
from agent.judge.threshold import choose, parse_budget
from agent.log import (
    DROP_EVERY_S,
    READER_PATIENCE_S,
    SHED_DEVICES_MAX,
    TEXT_MAX,
    DropLog,
    RequestLog,
    ShedLog,
    Sink,
    UndecodableLog,
    UnheardLog,
    say_alert,
    say_threshold,
)
from agent.reasons import REASONS
from agent.words import Drop, Request, Shed
from tests.alert_events import event
from tests.small_bundle import small_manifest


def said() -> tuple[DropLog, list[dict[str, object]]]:
    capture = LogCapture()
    return DropLog(structlog.wrap_logger(None, processors=[capture])), capture.entries


def test_one_line_a_source_and_reason_in_ten_seconds_with_the_count_since():
    drop_log, lines = said()
    counts: Counter[tuple[str, str]] = Counter()
    for turn in range(2500):  # 25 s of a flood
        counts["press", "malformed"] += 4
        drop_log.hear([Drop("press", f"p{turn}", "t", "malformed", "why")], counts)
        drop_log.say(turn / 100)
    assert [(line["example_device"], line["count"]) for line in lines] == [("p0", 4), ("p1000", 4000), ("p2000", 4000)]
    drop_log.say(2000 / 100 + DROP_EVERY_S)
    assert sum(line["count"] for line in lines) == counts["press", "malformed"], "the last ones are said, too"
    drop_log.say(1000.0)
    assert len(lines) == 4


@pytest.mark.parametrize("reason", ["stopped", "duplicate_delivery"])
def test_what_is_as_planned_is_no_warning_and_fills_no_log(reason):
    """Two days of it: a note an hour, each with how many rows there were since the last one."""
    drop_log, lines = said()
    counts: Counter[tuple[str, str]] = Counter()
    for minute in range(2 * 24 * 60):
        counts["press", reason] += 3
        drop_log.hear([Drop("press", "p1", "t", reason, "")], counts)
        drop_log.say(60.0 * minute)
    assert [(line["log_level"], line["count"]) for line in lines] == [("info", 3)] + [("info", 180)] * 47


def test_an_alert_of_silence_is_said_in_words_and_of_a_whole_source_without_a_device():
    capture = LogCapture()
    raised = event("raised", "a1", t=1.0, device="")
    silent = msgspec.structs.replace(raised, head="silence", outputs={"silence": (20.98, 20.0)})
    say_alert(structlog.wrap_logger(None, processors=[capture]), silent, has_models=False)
    (line,) = capture.entries
    assert (line["silent_s"], line["silent_after_s"]) == (20.98, 20.0)
    assert not {"device", "silence"} & line.keys()


@pytest.mark.parametrize(
    ("detected", "failures", "level"), [(0, 10, "warning"), (0, None, "warning"), (0, 0, "info"), (3, 10, "info")]
)
def test_a_threshold_that_warns_of_nothing_is_a_warning_at_the_start(detected, failures, level):
    """Not where no device failed: such a bundle cannot know."""
    whole = small_manifest().judging["risk"].thresholds
    row = msgspec.structs.replace(whole.rows[1], detected=detected)
    chosen = choose(
        msgspec.structs.replace(whole, rows=(row,), failures=failures), parse_budget("1 per 900 cycles", fleet_size=0)
    )
    capture = LogCapture()
    say_threshold(structlog.wrap_logger(None, processors=[capture]), "main", "risk", "1 per 900 cycles", chosen)
    (line,) = capture.entries
    assert (line["event"], line["log_level"], line["budget"]) == ("threshold_chosen", level, "1 per 900 cycles")
    assert 'can vouch for is "1 per 660 cycles"' in line["calibration"]


def test_each_source_and_reason_has_its_own_line():
    drop_log, lines = said()
    drops = [Drop(source, "p", "t", reason, "") for source in ("a", "b") for reason in ("late", "extra_channel")]
    drop_log.hear(drops, Counter((drop.source, drop.reason) for drop in drops))
    drop_log.say(0.0)
    assert [line["next_step"] for line in lines] == [REASONS[drop.reason].next_step for drop in drops]
    assert [(line["source"], line["reason"], line["event"]) for line in lines] == [
        ("a", "late", "reading_dropped"),
        ("a", "extra_channel", "reading_doubtful"),
        ("b", "late", "reading_dropped"),
        ("b", "extra_channel", "reading_doubtful"),
    ]


def test_what_a_device_sends_cannot_forge_a_line_or_fill_the_disk():
    drop_log, lines = said()
    evil = '\n{"event": "alert_cleared"}\x1b[2J\u202e' + "x" * 100_000
    drop_log.hear([Drop("press", evil, evil, "late", evil)], Counter({("press", "late"): 1}))
    drop_log.say(0.0)
    (line,) = lines
    for name in ("example_device", "example_topic", "detail"):
        assert str(line[name]).isprintable()
        assert str(line[name]).isascii()
        assert len(str(line[name])) <= TEXT_MAX


def test_a_long_detail_is_cut_between_words_and_says_so():
    drop_log, lines = said()
    detail = "no value in any of the fields " + ", ".join(f"channel_{index}" for index in range(20))
    drop_log.hear([Drop("press", "p1", "plant/p1", "no_channels", detail)], Counter({("press", "no_channels"): 1}))
    drop_log.say(0.0)
    (line,) = lines
    assert str(line["detail"]).endswith("channel_6, ...")


SPEAK = """
from agent.log import configure
log = configure()
for name in ("info", "warning", "error"):
    getattr(log, name)("spoken", of="\\udcff\\n")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("agent_failed")
print("alive")
"""


def test_a_log_that_cannot_be_written_stops_nobody():
    """A full disk, or a pipe whose reader has gone: the line is lost, the process lives and ends with 0."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", SPEAK], stdout=subprocess.PIPE, stderr=full, check=True)
    assert done.stdout == b"alive\n"


def test_a_line_is_one_json_object_when_nobody_looks():
    done = subprocess.run([sys.executable, "-c", SPEAK], capture_output=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("spoken", "info"),
        ("spoken", "warning"),
        ("spoken", "error"),
        ("agent_failed", "error"),
    ]
    assert lines[0]["timestamp"].endswith("Z")
    assert "ZeroDivisionError" in lines[3]["exception"]


def drained(reader: int) -> bytes:
    """What lies in a pipe now."""
    data = b""
    while select.select([reader], [], [], 0)[0]:
        data += os.read(reader, 65_536)
    return data


def test_a_reader_that_hangs_costs_lines_and_one_short_wait():
    """The pipe is full after some lines: the rest is lost and counted, and only the first of them waits."""
    reader, writer = os.pipe()
    sink = Sink(writer)
    begun_s = time.monotonic()
    for number in range(2_000):
        sink.write(f"{number:06d}" + "x" * 1000)
    assert time.monotonic() - begun_s < 100 * READER_PATIENCE_S
    lines = drained(reader).split(b"\n")
    whole = [line for line in lines if len(line) == 1006]
    assert sink.lost == 2_000 - len(whole) > 1_000
    assert [int(line[:6]) for line in whole] == list(range(len(whole)))
    sink.write("again")
    assert drained(reader).endswith(b"again\n")
    assert sink.lost == 2_000 - len(whole)


def test_a_line_that_broke_off_does_not_spoil_the_next_one():
    """A long line fills the pipe half-way; what comes after it begins on a line of its own."""
    reader, writer = os.pipe()
    sink = Sink(writer)
    sink.write("x" * 1_000_000)
    sink.write("lost, too")
    assert sink.lost == 2
    drained(reader)
    sink.write("whole")
    sink.write("next")
    assert drained(reader).split(b"\n") == [b"", b"whole", b"next", b""]


def test_a_reader_that_is_slow_loses_nothing(monkeypatch):
    """It begins late, and a line is longer than the pipe."""
    monkeypatch.setattr(log, "READER_PATIENCE_S", 5.0)
    reader = subprocess.Popen(["sh", "-c", "sleep 0.1; exec wc -c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sink = Sink(reader.stdin.fileno())
    sink.write("short")
    sink.write("x" * 1_000_000)
    assert int(reader.communicate()[0]) == 1_000_007
    assert sink.lost == 0


def test_a_log_whose_descriptor_is_closed_loses_lines():
    reader, writer = os.pipe()
    sink = Sink(writer)
    os.close(reader)
    sink.write("to nobody")
    os.close(writer)
    sink.write("nowhere")
    assert sink.lost == 2


def test_a_device_that_sheds_is_named_with_its_rate_and_not_more_often_than_every_ten_seconds():
    """A rate needs a while, so the first line comes after a second; then the five worst devices of ten seconds."""
    heard = LogCapture()
    one = ShedLog(structlog.wrap_logger(None, processors=[heard]))
    one.hear([Shed("press", "hog\n", "plant/hog/x", n_rows=300, n_shed=236)], 50.0)
    one.say(50.0)
    assert heard.entries == []
    one.hear([Shed("press", "hog\n", "plant/hog/x", n_rows=300, n_shed=236)], 50.1)
    one.say(51.5)
    (line,) = heard.entries
    assert (line["event"], line["log_level"]) == ("device_shed", "warning")
    assert (line["source"], line["device"], line["topic"]) == ("press", "hog\\n", "plant/hog/x")
    assert (line["rows_per_s"], line["shed"]) == (400.0, 472)
    many = [Shed("press", f"p{number}", "t", n_rows=100, n_shed=number) for number in range(1, 10)]
    one.hear(many, 52.0)
    one.say(61.4)
    assert len(heard.entries) == 1
    one.say(61.5)
    assert [line["device"] for line in heard.entries[1:]] == ["p9", "p8", "p7", "p6", "p5"]


def test_the_memory_of_devices_that_shed_is_bounded():
    heard = LogCapture()
    one = ShedLog(structlog.wrap_logger(None, processors=[heard]))
    one.hear([Shed("press", f"p{number}", "t", 100, 1) for number in range(SHED_DEVICES_MAX + 10)], 0.0)
    assert len(one._shed) == SHED_DEVICES_MAX


def test_a_source_is_named_when_it_goes_over_its_undecodable_share_and_when_it_is_well_back():
    heard = LogCapture()
    one = UndecodableLog(structlog.wrap_logger(None, processors=[heard]), 0.1)
    over = [one.hear({"press": share, "oven": 0.1}) for share in (0.1, 0.1234567, 0.3, 0.09, 0.05, 0.2)]
    assert over == [{}, {"press": 0.123}, {"press": 0.3}, {"press": 0.09}, {}, {"press": 0.2}]
    assert [(line["event"], line["source"], line["share"]) for line in heard.entries] == [
        ("source_undecodable", "press", 0.123),
        ("source_decodable", "press", 0.05),
        ("source_undecodable", "press", 0.2),
    ]


def test_requests_for_a_rebirth_are_named_at_once_and_then_counted_for_ten_seconds():
    heard = LogCapture()
    one = RequestLog(structlog.wrap_logger(None, processors=[heard]))
    one.hear([Request("plant", "spBv1.0/G/NCMD/n1", b"")])
    one.say(50.0)
    one.hear([Request("plant", f"spBv1.0/G/NCMD/n{number}", b"") for number in (2, 3)])
    one.say(59.9)
    one.say(60.0)
    one.say(70.0)
    said = [(line["event"], line["source"], line["topic"], line["count"]) for line in heard.entries]
    assert said == [
        ("rebirth_requested", "plant", "spBv1.0/G/NCMD/n1", 1),
        ("rebirth_requested", "plant", "spBv1.0/G/NCMD/n3", 2),
    ]


def test_a_source_that_is_never_heard_is_said_once_and_only_where_others_are():
    """Where nothing comes at all, the input says so."""
    heard = LogCapture()
    one = UnheardLog(structlog.wrap_logger(None, processors=[heard]))
    assert one.hear(["press"], has_others=False) == ["press"]
    for _ in range(2):
        assert one.hear(["press", "lathe"], has_others=True) == ["press", "lathe"]
    assert [(line["event"], line["source"]) for line in heard.entries] == [
        ("source_unheard", "press"),
        ("source_unheard", "lathe"),
    ]
