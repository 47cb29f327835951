"""What `check` accepts can run: it builds the same core, and what it refuses is named with file, line and key."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.bundle import file, golden
from agent.bundle.manifest import Cadence
from agent.bundle.manifest_rules import SPAN_S_MAX
from agent.config.load import Examined, check, examine
from agent.config.plan import build
from agent.core.entries import Heartbeat, Messages
from agent.decode.json import JsonCodec
from agent.decode.paths import path_problem
from agent.sources import Source, plain_channels
from tests.bundles import small_members, write_small_bundle
from tests.configurations import SOURCE, VALID, write_configuration
from tests.small_bundle import small_manifest

ARRIVED_NS = 1_700_000_000 * 10**9


def checked(folder: Path, text: str) -> Examined:
    return check(write_configuration(folder, text), {})


def told(examined: Examined) -> list[str]:
    """Each problem without the folder of its file."""
    return [f"{one.file.rpartition('/')[2]}:{one.line}: {one.key}: {one.what}" for one in examined.problems]


def takes_rows(examined: Examined) -> None:
    """Run what was accepted: rows by each source's own field names, then days of silence."""
    assert examined.settings is not None
    assert examined.plan is not None
    core = build(examined.settings, examined.plan)
    for source in examined.plan.sources:
        topic = source.topics[0].replace("{device}", "p1").replace("+", "x").replace("#", "x")
        for step in range(30):  # by a clock, fifty years late: it is re-based
            values = dict.fromkeys(source.fields, 0.5) | ({source.time_field: step} if source.time_field else {})
            core.apply(Messages([topic], [json.dumps(values).encode()], [ARRIVED_NS + step * 10**9]))
    core.apply(Heartbeat(ARRIVED_NS + 86_400 * 10**9))
    core.apply(Heartbeat(ARRIVED_NS + 2 * 86_400 * 10**9))
    core.restore(core.snapshot())


def test_golden_rows_that_differ_are_found_by_check(tmp_path):
    """The model is whole and computes something else than the bundle promises."""
    manifest, members = small_manifest(), small_members()
    rows = golden.unpack(members["golden.npz"], manifest)
    wrong = replace(rows, outputs=rows.outputs | {"risk": rows.outputs["risk"] + np.float32(0.5)}).pack()
    file.write(tmp_path / "small.fwb", manifest, {**members, "golden.npz": wrong})
    (problem,) = told(checked(tmp_path, VALID + SOURCE))
    assert problem.startswith(
        f"forewarn.toml:7: model[main].bundle: {tmp_path}/small.fwb: golden row 0 gives risk[0] = "
    )
    assert examine(tmp_path / "forewarn.toml", {}).problems == (), "a running agent that reads it again does not stop"


@pytest.mark.parametrize("field", ['a\\"b', "a\\\\b", "a\\u0001b", "a\\tb", '\\"'])
def test_a_payload_field_that_cannot_be_read_is_named_with_its_key(tmp_path, field):
    for old, new, line, key in (
        (
            'time = { field = "cycle"',
            f'channels = {{ temp = "{field}" }}\ntime = {{ field = "cycle"',
            12,
            "channels.temp",
        ),
        ('field = "cycle"', f'field = "{field}"', 12, "time.field"),
    ):
        (problem,) = told(checked(tmp_path, VALID + SOURCE.replace(old, new)))
        assert problem.startswith(f"forewarn.toml:{line}: source[press].{key}: ")
        assert "holds a quote, a backslash or a control character" in problem or "is no path" in problem


def test_a_channel_whose_own_name_cannot_be_read_needs_a_field(tmp_path):
    manifest = small_manifest()
    first = msgspec.structs.replace(manifest.channels[0], name='te"mp')
    renamed = msgspec.structs.replace(manifest, channels=(first, *manifest.channels[1:]))
    write_small_bundle(tmp_path / "small.fwb", renamed)
    (problem,) = told(checked(tmp_path, VALID + SOURCE))
    assert problem.startswith("forewarn.toml:9: source[press].channels: must name a payload field for the bundle's")
    named = SOURCE.replace("time = {", 'channels = { \'te"mp\' = "t" }\ntime = {', 1)
    takes_rows(checked(tmp_path, VALID + named))


@given(st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from([chr(code) for code in range(256)]))
def test_a_field_is_refused_where_the_decoder_refuses_it(field):
    source = Source("press", ("plant/{device}",), "", "arrival", plain_channels(field))
    try:
        JsonCodec(source)
    except ValueError:
        assert path_problem(field)
    else:
        assert path_problem(field) == ""


@pytest.mark.parametrize(
    "content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"]
)
def test_a_certificate_that_cannot_be_used_is_found_by_check(tmp_path, content):
    (tmp_path / "ca.pem").write_text(content)
    (problem,) = told(checked(tmp_path, VALID + SOURCE + '[broker]\ntls = true\nca_file = "ca.pem"\n'))
    assert problem.startswith("forewarn.toml:15: broker.ca_file: ")
    assert "cannot be used" in problem


TABLES = [
    '[agent]\nforget_after = "36500d"\nstale_after = "36499d"',
    '[agent]\nstale_after = "1s"\nforget_after = "2s"\ntick_every = "10ms"',
    "[agent]\ndevices_max = 1\nbatch_max = 1",
    '[agent]\ndevices_max = 10000000\nbatch_max = 4096\npayload_bytes_max = "16MiB"\ndevice_id_bytes_max = 1024',
]
CYCLE_SOURCES = [
    'topic = "plant/{device}/cycle"\ntime = { field = "cycle", unit = "cycle" }\nfuture_max = "36500d"',
    'topic = "one/{device}"\ntime = { field = "cycle", unit = "cycle" }\nfuture_max = "0s"\nreport_extra = false',
    'topic = "plant/+/{device}/#"\ntime = { field = "t", unit = "cycle" }\nchannels = { temp = "c0", load = "c1" }',
    'topic = "one/{device}"\ntime = { field = "é\u2028", unit = "cycle" }\nchannels = { temp = \'""\' }',
]
CLOCK_SOURCES = [
    f'topic = "plant/{{device}}"\n{time}\nfuture_max = "{span}"\npast_max = "{past}"'
    for time in ("", 'time = { field = "t", unit = "s" }', 'time = { field = "t", unit = "ns" }')
    for span, past in (("0s", "1m"), ("36500d", "36500d"))
]


@pytest.mark.slow
@pytest.mark.parametrize("source", [*CYCLE_SOURCES, *CLOCK_SOURCES])
@pytest.mark.parametrize("tables", TABLES)
def test_the_extremes_that_are_accepted_run(tmp_path, tables, source):
    """Of the configuration, and of a bundle whose spans are as long as they may be."""
    manifest = small_manifest()
    if source in CLOCK_SOURCES:
        spans = {"cadence": Cadence(SPAN_S_MAX, SPAN_S_MAX), "time_unit": "s"}
        judge = msgspec.structs.replace(manifest.judging["risk"].policy, clear_after_s=SPAN_S_MAX)
        manifest = msgspec.structs.replace(manifest, judge=judge, **spans)
    write_small_bundle(tmp_path / "small.fwb", manifest)
    table, _, keys = tables.partition("\n")
    text = VALID.replace(table, f"{table}\n{keys}") + f'[[source]]\nname = "press"\n{source}\n'
    if source in CLOCK_SOURCES:
        text = text.replace("[[model]]", '[[model]]\nbudget = "1 per device per 30d"')
    examined = checked(tmp_path, text)
    assert examined.problems == ()
    takes_rows(examined)


NAMES = st.text(st.sampled_from('ab"\\\n\t\x01\x7f\u2028é {}+#/'), min_size=1, max_size=5)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(NAMES, NAMES, NAMES)
def test_whatever_names_are_accepted_run(tmp_path, field, time_field, level):
    source = f"""
[[source]]
name = "press"
topic = {json.dumps(level + "/{device}")}
channels = {{ temp = {json.dumps(field)} }}
time = {{ field = {json.dumps(time_field)}, unit = "cycle" }}
""".replace("\x7f", "\\u007f")
    examined = checked(tmp_path, VALID + source)
    if examined.problems:
        assert all(one.line and one.key for one in examined.problems)
    else:
        takes_rows(examined)


def test_two_models_on_one_source_of_which_one_is_on_a_second_run(tmp_path):
    """And the source that no model reads is doubtful, with its line."""
    write_small_bundle(tmp_path / "other.fwb", msgspec.structs.replace(small_manifest(), version="2.0.0"))
    second, third = (SOURCE.replace("press", name).replace("plant", name) for name in ("mill", "lathe"))
    first_model = VALID + 'sources = ["press"]\n'
    second_model = '[[model]]\nname = "other"\nbundle = "other.fwb"\nsources = ["press", "mill"]\n'
    examined = checked(tmp_path, first_model + second_model + SOURCE + second + third)
    assert told(examined) == []
    header = (tmp_path / "forewarn.toml").read_text().splitlines().index('name = "lathe"')  # is one line above
    doubts = [(doubt.line, doubt.key) for doubt in examined.doubts if "budget" not in doubt.key]
    assert doubts == [(header, "source[lathe]")]
    assert examined.plan is not None
    assert [source.name for source in examined.plan.sources] == ["press", "mill"]
    takes_rows(examined)


def test_a_bundle_whose_golden_rows_differ_is_told_at_the_model_that_names_it(tmp_path):
    manifest, members = small_manifest(), small_members()
    rows = golden.unpack(members["golden.npz"], manifest)
    wrong = replace(rows, outputs=rows.outputs | {"risk": rows.outputs["risk"] + np.float32(0.5)}).pack()
    file.write(tmp_path / "wrong.fwb", manifest, {**members, "golden.npz": wrong})
    (problem,) = told(checked(tmp_path, VALID + '[[model]]\nname = "b"\nbundle = "wrong.fwb"\n' + SOURCE))
    assert problem.startswith(f"forewarn.toml:10: model[b].bundle: {tmp_path}/wrong.fwb: golden row 0 gives risk[0] = ")


def test_a_file_for_recording_to_which_a_model_is_added_runs(tmp_path):
    """Its channels that the model does not have, and its other source, are doubtful."""
    mapped = SOURCE + 'channels = { temp = "T", load = "L", wear = "W", speed = "n" }\n'
    other = SOURCE.replace("press", "mill").replace("plant", "mill") + 'channels = { humidity = "h" }\n'
    examined = checked(tmp_path, VALID + mapped + other)
    assert told(examined) == []
    doubts = [(doubt.key, doubt.what) for doubt in examined.doubts if "budget" not in doubt.key]
    assert doubts == [
        ("source[mill]", "is read by no model, and not subscribed to: 'main' has no channel 'humidity'"),
        ("source[press].channels.speed", "no model reads the channel 'speed'"),
    ]
    takes_rows(examined)


@pytest.mark.parametrize("model", ["", '[[model]]\nbundle = "small.fwb"\n'])
@pytest.mark.parametrize(
    ("keys", "is_doubtful"),
    [
        ('codec = "text"', True),
        ('payload = { form = "value" }', True),
        ('codec = "text"\nalign = { max_age = "5s" }', False),
        ('codec = "text"\nalign = { every = "5s", max_age = "10s" }', False),
        ('codec = "text"\nchannels = { temp = { field = "temp", max_age = "5s" }, load = "load" }', False),
    ],
)
def test_one_value_a_payload_with_nothing_that_makes_rows_of_them_is_doubtful(tmp_path, model, keys, is_doubtful):
    write_small_bundle(tmp_path / "small.fwb", msgspec.structs.replace(small_manifest(), time_unit="s"))
    head = '[agent]\nnode = "n"\nstate_dir = "state"\n' + model.replace('"\n', '"\nbudget = "1 per device per 30d"\n')
    source = f'[[source]]\nname = "press"\ntopic = "a/{{device}}/{{channel}}"\nchannel = "{{channel}}"\n{keys}\n'
    source += "" if "channels =" in keys else 'channels = { temp = "temp", load = "load" }\n'
    examined = checked(tmp_path, head + source)
    assert told(examined) == []
    assert not [one.what for one in examined.doubts if "`repeated`" in one.what]
    kept = checked(tmp_path, head.replace("[agent]\n", '[agent]\ndurability = "journal"\n') + source + "qos = 1\n")
    assert [one.key for one in kept.doubts if "`repeated`" in one.what] == ["source[press]"]
    what = "each row would have one channel, that of one message: give align.every and align.max_age"
    assert [one.what for one in examined.doubts if "one channel" in one.what] == ([what] if is_doubtful else [])


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("[alerts]\nlatch = true", ["reset"]),
        ('[alerts]\nacknowledge = "required"', ["acknowledge"]),
        ('[commands]\nalerts = ["suppress", "out_of_service"]', ["unsuppress", "in_service"]),
        ('[alerts]\nlatch = true\n[commands]\nalerts = ["reset", "shelve"]', []),
    ],
)
def test_an_alert_or_a_hide_that_nobody_may_end_is_doubtful(tmp_path, text, lacks):
    examined = checked(tmp_path, VALID + SOURCE + text + "\n")
    ends = [doubt.what for doubt in examined.doubts if "for ever" in doubt.what]
    assert [f'"{action}" is not in' in what for action, what in zip(lacks, ends, strict=True)] == [True] * len(lacks)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('source = "press"\nbegin = "22:00"\nend = "22:00"', "ends when it begins"),
        ('source = "press"\nbegin = "2026-12-03T16:00"\nend = "2026-12-01T08:00"', "before it begins"),
        ('source = "press"\nbegin = "22:00"\nend = "06:00"\nzone = "Berlin"', "no time zone"),
        ('source = "pres"\nbegin = "22:00"\nend = "06:00"', "'press' is meant?"),
        ('source = "press"\nbegin = "sat 22:00"\nend = "sun 06:00"', ""),
    ],
)
def test_a_maintenance_window_that_cannot_be_is_refused_in_words(tmp_path, keys, says):
    examined = checked(tmp_path, VALID + SOURCE + f"[[alerts.maintenance]]\n{keys}\n")
    problems = [problem.what for problem in examined.problems]
    assert [says in what for what in problems] == [True] * bool(says), problems
