"""What a manifest's types cannot say, said in words; all of it at once."""

import math

import msgspec
import pytest

from agent.bundle import manifest_rules
from agent.bundle.manifest import (
    Cadence,
    Channel,
    JudgePolicy,
    Manifest,
    Numerics,
    RiskHead,
    RulHead,
    RunsWhile,
    StateBlock,
    ThresholdRow,
)
from agent.sources import SourceChannel
from tests.small_anomaly import HEAD, anomaly_manifest
from tests.small_bundle import small_manifest

SMALL = small_manifest()


def channel(**changes: object) -> tuple[Channel, ...]:
    return (msgspec.structs.replace(SMALL.channels[0], **changes), *SMALL.channels[1:])


def runs(**changes: object) -> RunsWhile:
    return msgspec.structs.replace(RunsWhile(SMALL.channels[1], 0.5, 0.0), **changes)


def judge(**changes: object) -> JudgePolicy:
    return msgspec.structs.replace(SMALL.judging["risk"].policy, **changes)


def table(*rows: ThresholdRow, **changes: object) -> dict[str, object]:
    return {
        "thresholds": msgspec.structs.replace(
            SMALL.judging["risk"].thresholds, **({"rows": rows} if rows else {}), **changes
        )
    }


def row(threshold: float, **changes: object) -> ThresholdRow:
    return msgspec.structs.replace(SMALL.judging["risk"].thresholds.rows[0], threshold=threshold, **changes)


def head(**changes: object) -> dict[str, object]:
    return {"anomaly": msgspec.structs.replace(HEAD, **changes)}


def chart(**changes: object) -> dict[str, object]:
    return head(charts=(msgspec.structs.replace(HEAD.charts[0], **changes),))


def table_of_anomaly(*rows: ThresholdRow, **changes: object) -> dict[str, object]:
    changes |= {"rows": rows} if rows else {}
    return head(thresholds=msgspec.structs.replace(HEAD.thresholds, **changes))


NAN, INF = float("nan"), float("inf")
WRONG: list[tuple[dict[str, object], str]] = [
    ({"name": "../../etc"}, "name '../../etc'"),
    ({"version": ""}, "version ''"),
    ({"schema_version": 0}, "schema_version is 0"),
    ({"created_from": msgspec.structs.replace(SMALL.created_from, data_sha256="x")}, "data_sha256 is not a SHA-256"),
    ({"channels": ()}, "it has 0 channels"),
    ({"channels": channel(name="wear")}, "channel 'wear' is there twice"),
    ({"channels": channel(name="a\n")}, "cannot be printed"),
    ({"channels": channel(low=4.0)}, "range 4.0 to 3.0"),
    ({"channels": channel(high=NAN)}, "range -2.0 to nan"),
    ({"channels": channel(missing=(INF,))}, "'temp' has a word or a missing number that is not finite"),
    ({"channels": channel(words={"ON": NAN})}, "'temp' has a word or a missing number that is not finite"),
    ({"channels": channel(words={"": 1.0})}, "'temp' has the word ''"),
    ({"channels": channel(missing_words=(" NA",))}, "'temp' has the word ' NA'"),
    ({"channels": channel(missing_words=("x" * 101,))}, "1 to 100 characters"),
    ({"channels": channel(words={"NA": 1.0}, missing_words=("NA",))}, "'NA' for a number and for no value"),
    ({"channels": channel(missing=tuple(map(float, range(101))))}, "101 words and missing numbers, at most 100"),
    ({"channels": channel(steady_max_s=-1.0)}, "'temp' has steady_max_s -1.0, must be 0 to"),
    ({"channels": channel(absent_max_s=NAN)}, "'temp' has absent_max_s nan, must be 0 to"),
    ({"runs": runs(above=NAN)}, "above nan must be finite"),
    ({"runs": runs(above=1e39)}, "must be finite as a float32"),
    ({"runs": runs(after_s=-1.0)}, "after_s -1.0 0 to 1e+09"),
    ({"runs": runs(channel=msgspec.structs.replace(SMALL.channels[0], name="on", event=True))}, "'on' counts events"),
    ({"runs": runs(channel=msgspec.structs.replace(SMALL.channels[0], name="a\n"))}, "cannot be printed"),
    ({"out_of_domain_margin": -1.0}, "out_of_domain_margin is -1.0"),
    ({"cadence": Cadence(0.0, 1.0)}, "cadence"),
    ({"cadence": Cadence(2.0, 1.0)}, "in this order"),
    ({"cadence": Cadence(1e10, 1e10)}, "at most 1e+09"),
    ({"judge": judge(clear_after_s=1e10)}, "clear_after_s is 10000000000.0, must be 0 to 1e+09"),
    ({"state": ()}, "the state has 0 columns"),
    ({"state": (StateBlock("h", -3), StateBlock("c", 7))}, "in blocks of at least 1"),
    ({"state": (StateBlock("h", 2**40),)}, "must be 1 to 65536"),
    ({"state": (StateBlock("h", 2), StateBlock("h", 2))}, "one name"),
    *(
        ({"state": (StateBlock("h", 2), StateBlock("new", 1, value))}, f"block 'new' of the state is {value} for a new")
        for value in (NAN, INF, -INF, 1e39)
    ),
    ({"warmup_rows": -1}, "warmup_rows is -1"),
    ({"numerics": Numerics("exact", INF)}, "numerics.tolerance is inf"),
    ({"risk": RiskHead((30.0, 15.0, 60.0))}, "risk.horizons_s must rise"),
    ({"risk": RiskHead(tuple(map(float, range(1, 66))))}, "risk.horizons_s has 65 values"),
    ({"risk": RiskHead((1.0, NAN, 3.0))}, "risk.horizons_s must rise"),
    ({"rul": RulHead((0.5, 0.5), 125.0)}, "rul.quantiles must rise"),
    ({"rul": RulHead((0.5, 1.5), 125.0)}, "within 0 and 1"),
    ({"rul": RulHead((0.5,), 0.0)}, "rul.cap_s is 0.0"),
    ({"judge": judge(horizon=3)}, "judge.horizon is 3"),
    ({"judge": judge(horizon=-1)}, "judge.horizon is -1"),
    ({"judge": judge(m=4)}, "m 4 of n 3"),
    ({"judge": judge(m=0)}, "m 0 of n 3"),
    ({"judge": judge(n=33)}, "n <= 32"),
    ({"judge": judge(clear_ratio=1.5)}, "clear_ratio is 1.5"),
    ({"judge": judge(clear_after_s=NAN)}, "clear_after_s is nan"),
    ({"judge": judge(severity_risk=0.0)}, "severity_risk is 0.0"),
    (table(row(0.5), row(0.5)), "thresholds must rise"),
    (table(row(0.0)), "within 0 and 1"),
    (table(row(1.0)), "within 0 and 1"),
    (table(row(0.5, false_alarms=-1)), "row at 0.5"),
    (table(row(0.5, detected=11)), "row at 0.5"),
    (table(row(0.5, mean_lead_s=INF)), "row at 0.5"),
    (table(row(0.5, false_alarms=10**13)), "row at 0.5"),
    (table(row(0.5, false_alarm_s=-1.0)), "row at 0.5"),
    (table(row(0.5, false_alarm_s=2001.0)), "row at 0.5"),
    (table(row(0.5, false_alarm_s=NAN)), "row at 0.5"),
    (table(row(0.5, detected=9), failures=8), "row at 0.5"),
    (table(failures=11), "11 failures of 10 devices"),
    (table(window_s=0.0), "window_s 0.0 must be above 0"),
    (table(window_s=NAN), "window_s nan must be above 0"),
    (table(failures=-1, rows=(row(0.5, detected=0),)), "-1 failures of 10 devices"),
    (table(exposure_s=1e-300), "is no exposure"),
    (table(h_min_s=60.0), "below h_max_s"),
    (table(exposure_s=0.0), "is no exposure"),
    ({"risk": None}, "risk, judge and thresholds are there together"),
    ({"judge": None}, "risk, judge and thresholds are there together"),
    ({"risk": None, "judge": None, "thresholds": None}, "neither risk nor anomaly"),
    (head(charts=()), "anomaly.charts has 0 charts, must be 1 to 16"),
    (head(charts=HEAD.charts * 17), "anomaly.charts has 17 charts"),
    (head(learning_rows=0), "anomaly.learning_rows is 0"),
    (head(policy=msgspec.structs.replace(HEAD.policy, horizon=1)), "anomaly.policy.horizon is 1, must be 0"),
    (head(policy=msgspec.structs.replace(HEAD.policy, n=33)), "anomaly: judge: m 2 of n 33"),
    (chart(ahead=1), "anomaly.charts[0].ahead is 1, must be 0 to 0 for 'level'"),
    (chart(residual="forecast"), "anomaly.charts[0].ahead is 0, must be 1 to 1024 for 'forecast'"),
    (chart(residual="forecast", ahead=1025), "anomaly.charts[0].ahead is 1025, must be 1 to 1024 for 'forecast'"),
    (chart(residual="event", ahead=24), "anomaly.charts has one of events, but no channel counts events"),
    (chart(rate=0.0), "anomaly.charts[0].rate is 0.0"),
    (chart(rate=1.01), "anomaly.charts[0].rate is 1.01, must be above 0 and at most 1"),
    (chart(rate=NAN), "anomaly.charts[0].rate is nan"),
    (chart(scale=0.0), "anomaly.charts[0].scale is 0.0"),
    (chart(scale=INF), "anomaly.charts[0].scale is inf"),
    (chart(share=1.5), "anomaly.charts[0].share is 1.5"),
    (table_of_anomaly(row(2.0, detected=1)), "anomaly: thresholds: the row at 2.0"),
    (table_of_anomaly(row(2.0, detected=0), failures=1), "1 failures of 10 devices cannot be, on the basis of normal"),
    (table_of_anomaly(row(1e12, detected=0)), "anomaly: thresholds must rise strictly, within 0 and 1e+12"),
    ({"lives_s": (100.0, -1.0)}, "lives_s"),
    ({"unfailed_s": (0.0,)}, "unfailed_s"),
    ({"metrics": {"rmse": NAN}}, "metrics.rmse"),
]


def changed(changes: dict[str, object]) -> Manifest:
    return msgspec.structs.replace(SMALL, **changes)


def test_the_small_manifest_makes_sense():
    assert manifest_rules.faults(SMALL) == []
    assert manifest_rules.faults(changed({"rul": None})) == []


@pytest.mark.parametrize("with_risk", [False, True])
def test_a_manifest_with_the_head_anomaly_makes_sense(with_risk):
    manifest = anomaly_manifest(with_risk=with_risk)
    assert manifest_rules.faults(manifest) == []
    assert [*manifest.judging] == (["risk", "anomaly"] if with_risk else ["anomaly"])


def test_a_chart_of_events_needs_a_channel_that_counts_them():
    of_events = chart(residual="event", ahead=24) | {"channels": channel(event=True)}
    assert manifest_rules.faults(changed(of_events)) == []


def test_more_fault_intervals_than_devices_may_have_been_warned_of():
    of_intervals = table_of_anomaly(row(2.0, detected=30), failures=48, basis="intervals")
    assert manifest_rules.faults(changed(of_intervals)) == []


@pytest.mark.parametrize(("changes", "words"), WRONG, ids=[words for _, words in WRONG])
def test_nonsense_is_named_alone(changes, words):
    faults = manifest_rules.faults(changed(changes))
    assert len(faults) == 1
    assert words in faults[0]


def test_what_stood_for_a_channels_values_is_how_a_source_reads_it():
    mapped = channel(missing=(-9999.0,), words={"ON": 1.0}, missing_words=("NA",), column="T 1")[0].recorded
    assert (mapped.field, mapped.missing, mapped.words[0]) == ("T 1", (-9999.0,), ("ON", 1.0))
    assert mapped.words[1][0] == "NA"
    assert math.isnan(mapped.words[1][1])
    assert SMALL.channels[0].recorded == SourceChannel("temp")


def test_all_faults_are_found_at_once():
    assert len(manifest_rules.faults(changed({"name": "", "warmup_rows": -1, "lives_s": (0.0,)}))) == 3


def test_a_hostile_manifest_is_not_answered_with_a_line_for_each_of_its_channels():
    """17,000 of them fit into a manifest; each name is counted once, not once for each other name."""
    many = tuple(msgspec.structs.replace(SMALL.channels[0], name=f"c\n{index // 2}") for index in range(17_000))
    faults = manifest_rules.faults(changed({"channels": many}))
    assert faults[0] == "it has 17000 channels, must be 1 to 1024"
    assert len(faults) == manifest_rules.FAULTS_MAX
