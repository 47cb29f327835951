"""A configuration is checked whole: every problem at once, with file, line and key, and no traceback for any text."""

import re
import ssl
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config.load import examine, load, problems
from agent.config.plan import bounds
from agent.core import Core
from agent.decode.codec import CODECS
from agent.errors import ConfigurationRefused
from tests.bundles import write_small_bundle
from tests.configurations import SOURCE, VALID, write_configuration

pytestmark = pytest.mark.slow


def found(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    """Problems as text, with the folder left out."""
    return [str(problem).replace(f"{path.parent}/", "") for problem in problems(path, environ or {})]


def found_in(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    return found(write_configuration(tmp_path, text), environ)


def test_a_valid_file_is_loaded(tmp_path):
    loaded = load(write_configuration(tmp_path), {})
    assert (loaded.agent.node, loaded.broker.port, loaded.source[0].name) == ("gateway-1", 1883, "press")
    assert loaded.model[0].bundle == tmp_path / "small.fwb"
    assert loaded.output_broker is loaded.broker


def test_with_a_journal_a_source_at_qos_0_is_named_with_its_line(tmp_path):
    text = VALID.replace("[agent]", '[agent]\ndurability = "journal"') + SOURCE
    (problem,) = found_in(tmp_path, f"{text}qos = 0\n")
    assert re.match(r"forewarn.toml:\d+: source\[press\].qos: is 0, and with agent.durability", problem)
    (problem,) = found_in(tmp_path, text)
    assert "source[press].qos: is 0" in problem, "nor is it the default"
    assert found_in(tmp_path, f"{text}qos = 1\n") == []


@pytest.mark.parametrize("tls", [False, True])
def test_the_systems_certificates_are_read_for_tls_alone(tmp_path, monkeypatch, tls):
    """There are hundreds, and reading them takes longer than all else that is checked."""
    read = []
    create = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda **given: read.append(given) or create(**given))
    assert found_in(tmp_path, f"{VALID}{SOURCE}[broker]\ntls = {str(tls).lower()}\n") == []
    assert bool(read) == tls


def test_a_folder_means_its_main_file(tmp_path):
    write_configuration(tmp_path)
    assert load(tmp_path, {}).agent.node == "gateway-1"


def test_every_problem_is_told_at_once_with_file_line_and_key(tmp_path):
    text = """
[agent]
node = "a/b"
devices_max = true
nod = "x"

[broker]
port = "1883"
keepalive = "1s"
"""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10-model.toml").write_text('[[model]]\nbundle = "absent.fwb"\nbudget = "often"\n')
    assert found_in(tmp_path, text + SOURCE, {"FOREWARN_BROKER__TSL": "true"}) == [
        "conf.d/10-model.toml:2: model[main].bundle: conf.d/absent.fwb: there is no such file",
        'conf.d/10-model.toml:3: model[main].budget: \'often\' is not "1 per device per 30d", "1 per 1000 cycles" or'
        ' "6 per day" (whole fleet)',
        "forewarn.toml:3: agent.node: must be up to 64 letters, digits and . _ -, and begin with a letter or digit,"
        " not 'a/b'",
        "forewarn.toml:4: agent.devices_max: must be a whole number, not true",
        "forewarn.toml:5: agent.nod: there is no such key; the nearest is node",
        "forewarn.toml:8: broker.port: must be a whole number, not '1883'",
        "forewarn.toml:9: broker.keepalive: must be greater than or equal to 5 seconds, not 1s",
        "environment FOREWARN_BROKER__TSL: there is no such key; the nearest is FOREWARN_BROKER__TLS",
    ]


def test_load_raises_with_all_of_them_and_exit_code_2(tmp_path):
    path = write_configuration(tmp_path, "[agent]\nnod = 1\n")
    with pytest.raises(ConfigurationRefused, match="2 problems") as caught:
        load(path, {})
    assert caught.value.exit_code == 2
    for words in (
        "agent.nod: there is no such key",
        "there is no [[source]]",
        "forewarn check",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ("typo = 1", "forewarn.toml:1: typo: there is no such key"),
        ("[borker]", "forewarn.toml:1: borker: there is no such key; the nearest is broker"),
        ("[agent]\nqos = 1", "forewarn.toml:2: agent.qos: there is no such key here; there is one in [[source]]"),
        ('[broker]\npassword = "x"', "forewarn.toml:2: broker.password: a secret does not belong in this file: put it"
         " in a file of its own and name that with password_file"),
        ("[agent]\nstale_after = 30", 'forewarn.toml:2: agent.stale_after: must be a duration such as "250ms", "30s",'
         ' "2m", "1h" or "30d", not 30'),
        ('[agent]\nstale_after = "60d"', "forewarn.toml:1: agent: forget_after must be longer than stale_after"),
        ('[agent]\npayload_bytes_max = "1B"', "forewarn.toml:2: agent.payload_bytes_max: must be greater than or equal"
         " to 64, not 1"),
        ("agent = 3", "forewarn.toml:1: agent: must be a table, not 3"),
        ('[broker]\nprotocol = "4"', "forewarn.toml:2: broker.protocol: must be 'auto', '5' or '3.1.1', not '4'"),
        ("[broker]\nca_file = 5", "forewarn.toml:2: broker.ca_file: must be a path in quotes, not 5"),
        ('[broker]\nca_file = "ca.pem"', "forewarn.toml:1: broker: ca_file needs tls = true"),
        ('[broker]\ntls = true\nca_file = "a"', "forewarn.toml:3: broker.ca_file: a is not a file that may be read"),
        ('[broker]\npassword_file = "a"', "forewarn.toml:1: broker: password_file needs a username"),
        ('[publish]\nprefix = "a/+"', "forewarn.toml:2: publish.prefix: must be one or more levels without wildcards,"
         " such as forewarn or plant/forewarn"),
        ('[output]\nport = 0', "forewarn.toml:2: output.port: must be greater than or equal to 1, not 0"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_the_only_problem(tmp_path, changed, problem):
    """Each is put before a valid file that does not have the table, or into the table of one that does."""
    table = changed.partition("\n")[0]
    text = VALID.replace('[agent]\nnode = "gateway-1"\nstate_dir = "state"\n', "") if "agent" in table else VALID
    (tmp_path / "conf.d").mkdir()
    path = write_configuration(tmp_path, changed)
    (tmp_path / "conf.d" / "rest.toml").write_text(text.replace("small.fwb", "../small.fwb") + SOURCE)
    assert [line for line in found(path) if "state_dir" not in line] == [problem]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[agent\n", "forewarn.toml:1: is not TOML: "),
        ("a = 1\na = 2\n", "forewarn.toml:2: is not TOML: Cannot overwrite a value"),
        ("x = " + "[" * 5000, "is nested too deeply"),
        ("x = " + "9" * 5000, "Exceeds the limit"),
        ("#" * (2**20 + 1), "is larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_the_only_problem(tmp_path, text, words):
    (only,) = found_in(tmp_path, text)
    assert words in only


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = write_configuration(tmp_path)
    path.write_bytes(b"[agent]\n\xff\n")
    assert found(path) == ["forewarn.toml:2: is not UTF-8 text"]


def test_what_is_no_file_is_refused(tmp_path):
    assert found(tmp_path / "absent.toml") == ["absent.toml: no such file or directory"]
    assert found(Path("/dev/zero")) == ["zero: is not a file"]
    assert found(Path("a\0b"))[0].endswith("b: embedded null byte")
    assert found(tmp_path / ("x" * 300))[0].endswith("file name too long")


def test_a_dropped_in_file_wins_and_its_sources_are_joined(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "20.toml").write_text('[broker]\nport = 3\n[[source]]\nname = "b"\ntopic = "b/{device}"\n'
                                                 'time = { field = "n", unit = "cycle" }\n')  # fmt: skip
    (tmp_path / "conf.d" / "10.toml").write_text('[broker]\nport = 2\nhost = "ten"\n')
    (tmp_path / "conf.d" / "notes.txt").write_text("not read")
    loaded = load(write_configuration(tmp_path), {})
    assert (loaded.broker.host, loaded.broker.port) == ("ten", 3)
    assert [source.name for source in loaded.source] == ["press", "b"]


def test_files_are_read_in_the_order_of_their_names(tmp_path):
    (tmp_path / "conf.d").mkdir()
    for number in (5, 1, 9, 3, 7, 2, 8, 4, 6):
        (tmp_path / "conf.d" / f"{number}.toml").write_text(f"[broker]\nport = {number}\n")
    assert load(write_configuration(tmp_path), {}).broker.port == 9


def test_problems_come_in_the_order_of_the_lines(tmp_path):
    text = "[publish]\nx = 1\n[[model]]\nx = 1\nbundle = 'small.fwb'\n[broker]\nx = 1\n[agent]\nx = 1\nnode = 1\n"
    lines = [int(line.split(":")[1]) for line in found_in(tmp_path, text + SOURCE)]
    assert lines == [2, 4, 7, 9, 10]


def test_a_key_of_an_inline_table_has_the_line_of_the_table(tmp_path):
    text = VALID + SOURCE.replace('unit = "cycle"', 'unit = "years"')
    (only,) = found_in(tmp_path, text)
    assert only.startswith("forewarn.toml:12: source[press].time.unit: must be 's', 'ms',")


def test_a_codec_that_is_not_one_is_refused_with_those_there_are(tmp_path):
    assert load(write_configuration(tmp_path, VALID + SOURCE + 'codec = "json"\n'), {}).source[0].codec
    (found,) = found_in(tmp_path, VALID + SOURCE + 'codec = "xml"\n')
    assert re.fullmatch(r"forewarn.toml:13: source\[press\].codec: must be .*'json'.*, not 'xml'", found)


def test_sources_without_a_name_are_not_of_one_name(tmp_path):
    text = VALID + SOURCE.replace('name = "press"', "") + SOURCE.replace('name = "press"', "").replace("plant", "x")
    assert [line.partition(" ")[2] for line in found_in(tmp_path, text)] == [
        "source[1].name: must be given",
        "source[2].name: must be given",
    ]


def test_another_output_broker_takes_nothing_over(tmp_path):
    text = VALID + '[broker]\nhost = "in"\nusername = "u"\n[output]\nhost = "out"\n' + SOURCE
    loaded = load(write_configuration(tmp_path, text), {})
    assert (loaded.output_broker.host, loaded.output_broker.username) == ("out", "")
    text = text.replace('host = "out"\n', 'username = "v"\npassword_file = "absent"\n')
    assert found_in(tmp_path, text) == ["forewarn.toml:13: output.password_file: absent no such file or directory"]


def test_two_sources_of_one_name_are_refused_with_both_places(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text(SOURCE.replace("plant", "other"))
    path = write_configuration(tmp_path)
    assert found(path) == ["conf.d/a.toml:3: source[press].name: 'press' is the name of the source at forewarn.toml:10"]


def test_two_models_of_one_name_are_refused_with_both_places(tmp_path):
    """One that is given no name is called main."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text('[[model]]\nbundle = "../small.fwb"\nname = "main"\n')
    lines = [line for line in found(write_configuration(tmp_path)) if "name" in line]
    assert lines == ["conf.d/a.toml:3: model[main].name: 'main' is the name of the model at forewarn.toml:6"]


def test_two_models_without_a_name_are_told_to_have_one(tmp_path):
    lines = found_in(tmp_path, VALID + '[[model]]\nbundle = "small.fwb"\n' + SOURCE)
    assert lines == [
        "forewarn.toml:8: model[main].name: a model without one is called 'main', as that at forewarn.toml:6 is: give "
        "each a `name`"
    ]


@pytest.mark.parametrize("model", ["", '[[models]]\nbundle = "small.fwb"\n'])
def test_without_any_model_nothing_is_said_of_channels(tmp_path, model):
    text = VALID[: VALID.index("[[model]]")] + model + SOURCE + 'channels = { thrust_bearing = "x", oil = "y" }\n'
    unknown = ["forewarn.toml:6: models: there is no such key; the nearest is model"]
    assert found_in(tmp_path, text) == (unknown if model else [])


def test_a_model_as_it_was_written_before_is_told_so_in_each_file_and_nothing_else_is(tmp_path):
    """A key of a file in conf.d replaced one of the main file then: the two are no models of one name."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text('[model]\nbudget = "1 per 500 cycles"\n')
    assert found(write_configuration(tmp_path, VALID.replace("[[model]]", "[model]") + SOURCE)) == [
        "conf.d/a.toml:1: model: is called [[model]] now",
        "forewarn.toml:6: model: is called [[model]] now",
    ]


def test_a_model_is_told_when_a_source_that_it_names_is_not_there(tmp_path):
    text = VALID + 'sources = ["pres", "x"]\n' + SOURCE
    assert found_in(tmp_path, text) == [
        "forewarn.toml:8: model[main].sources: there is no source 'pres'; the nearest is press",
        "forewarn.toml:8: model[main].sources: there is no source 'x'; there are press",
    ]
    assert found_in(tmp_path, VALID + 'sources = ["press", "press"]\n' + SOURCE) == [
        "forewarn.toml:8: model[main].sources: names 'press' twice"
    ]


def test_a_source_with_single_brackets_is_explained(tmp_path):
    (only,) = found_in(tmp_path, VALID + '[source]\nname = "press"\n')
    assert only == "forewarn.toml:8: source: must be written with two brackets, [[source]]: there may be several"


def test_the_environment_wins_and_is_typed(tmp_path):
    environ = {
        "FOREWARN_BROKER__PORT": "8883", "FOREWARN_BROKER__TLS": "true", "FOREWARN_BROKER__HOST": "10.0.0.1",
        "FOREWARN_AGENT__NODE": "7", "FOREWARN_AGENT__STALE_AFTER": "2h", "FOREWARN_DATA": "/data",
        "FOREWARN_SERVICE_HOST": "10.1.1.1", "OTHER": "x",
    }  # fmt: skip
    loaded = load(write_configuration(tmp_path), environ)
    assert (loaded.broker.host, loaded.broker.port, loaded.broker.tls) == ("10.0.0.1", 8883, True)
    assert (loaded.agent.node, loaded.agent.stale_after.total_seconds()) == ("7", 7200)


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("FOREWARN_BROKER__PRT", "there is no such key; the nearest is FOREWARN_BROKER__PORT"),
        ("FOREWARN_BROKER_PORT", "two underscores stand between table and key: FOREWARN_BROKER__PORT"),
        ("FOREWARN_SOURCE__0__QOS", "sources are set in files only"),
        ("FOREWARN_AGENT__MAX_DELAY", "is called FOREWARN_AGENT__DELAY_MAX now"),
        ("FOREWARN_MODEL__BUNDLE", "models are set in files only"),
        ("FOREWARN_BROKER__PORT", "broker.port: must be a whole number, not 'x'"),
        ("FOREWARN_OUTPUT__PORT", "output.port: must be a whole number, not 'x'"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path, variable, problem):
    assert found_in(tmp_path, VALID + SOURCE, {variable: "x"}) == [f"environment {variable}: {problem}"]


def test_paths_start_from_the_file_they_stand_in(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text('[agent]\nstate_dir = "../elsewhere"\n')
    loaded = load(write_configuration(tmp_path), {})
    assert loaded.agent.state_dir == tmp_path / "conf.d" / "../elsewhere"


def test_a_secret_comes_from_the_credentials_directory(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt").write_text("s3cret\n")
    (credentials / "mqtt").chmod(0o400)
    text = VALID + '[broker]\nusername = "u"\npassword_file = "mqtt"\n' + SOURCE
    loaded = load(write_configuration(tmp_path, text), {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert loaded.broker.password_file == credentials / "mqtt"
    beside = write_configuration(tmp_path, text.replace('"mqtt"', '"./mqtt"'))
    assert found(beside, {"CREDENTIALS_DIRECTORY": str(credentials)}) == [
        "forewarn.toml:10: broker.password_file: mqtt no such file or directory"
    ]


ANYTHING = st.text(max_size=120) | st.lists(
    st.sampled_from([*(VALID + SOURCE).splitlines(), "[output]", "[[source]]", "[source]", "x = {}", "name = 1", '"']),
    max_size=14,
).map("\n".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(ANYTHING)
def test_any_text_ends_in_problems_or_a_plan(tmp_path, text):
    examined = examine(write_configuration(tmp_path, text), {})
    assert bool(examined.problems) != (examined.plan is not None)
    assert all(problem.what for problem in examined.problems)


LEAVES = st.sampled_from(["true", "-1", "1e400", "nan", '""', '"\\u0000"', "[]", "{}", "[[1]]", '"1 per 1000 cycles"',
                          "99999999999999999999", "1979-05-27", '"\\U0010ffff"', '"x"'])  # fmt: skip
KEYS = st.sampled_from([
    "agent.node", "agent.state_dir", "agent.delay_max", "agent.payload_bytes_max", "broker.host", "broker.port",
    "broker.tls", "broker.password_file", "broker", "output", "model", "model.bundle", "model.budget",
    "model.fleet_size", "publish.prefix", "brokers", "brokers.x", "brokers.x.host", "source", "sources", "''",
])  # fmt: skip
SOURCE_KEYS = st.sampled_from([
    "name", "topic", "qos", "time", "time.unit", "time.field", "time.zone", "channels", "channels.temp",
    "channels.temp.field", "channels.temp.scale", "channels.temp.words", "future_max", "device", "channel", "tags.a",
    "payload.readings", "payload.form", "payload.value", "align.every", "align.max_age", "interventions.words", "joins",
    "broker", "codec", "compression", "rate_max", "''",
])  # fmt: skip
SOURCE_LEAVES = LEAVES | st.sampled_from([
    '"press"', '"{device}"', '"a/{device}"', '"{a}"', '"x.y"', '"$.x"', '"a[]"', '"{device}[]"', '"10s"', '"0s"',
    '"cycle"', '"iso8601"', '"UTC"', '"pairs"', '"columns"', '"value"', '{ on = "repaired" }', "{ on = 1, off = nan }",
    '["a/{device}", "b/#"]', '"gzip"', *(f'"{codec}"' for codec in CODECS), '{ field = "t", offset = 3 }', "2",
])  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.dictionaries(KEYS, LEAVES, max_size=3), st.dictionaries(SOURCE_KEYS, SOURCE_LEAVES, max_size=5))
def test_any_value_of_any_key_ends_in_problems_or_a_plan(tmp_path, keys, source_keys):
    text = "\n".join(f"{key} = {value}" for key, value in keys.items())
    text += "\n[[source]]\n" + "\n".join(f"{key} = {value}" for key, value in source_keys.items())
    examined = examine(write_configuration(tmp_path, text), {})
    assert bool(examined.problems) != (examined.plan is not None)


def test_a_broken_bundle_is_the_problem_of_its_key(tmp_path):
    path = write_configuration(tmp_path)
    (tmp_path / "small.fwb").write_bytes(write_small_bundle(tmp_path / "other.fwb").read_bytes()[:-9])
    (only,) = found(path)
    assert only.startswith("forewarn.toml:7: model[main].bundle: small.fwb: is not a whole bundle")


@pytest.mark.parametrize("host", ["plant..example", "x" * 64 + ".example"])
def test_a_host_that_no_resolver_takes_is_a_problem(tmp_path, host):
    """Before it could end a thread of the running agent."""
    path = write_configuration(tmp_path, f'{VALID}{SOURCE}[broker]\nhost = "{host}"\n')
    with pytest.raises(ConfigurationRefused, match=r"broker.host: is no name of a host"):
        load(path, {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.dictionaries(SOURCE_KEYS.filter(lambda key: key not in ("name", "''")), SOURCE_LEAVES, max_size=4))
def test_what_is_accepted_of_a_source_can_be_built(tmp_path, keys):
    """Of any values of its keys: `check` says what is wrong before `run` could find out (the codec's part too)."""
    given = {"topic": '"plant/{device}/cycle"', "time.field": '"cycle"', "time.unit": '"cycle"'} | keys
    if "time" in keys:
        given = {key: value for key, value in given.items() if not key.startswith("time.")}
    text = VALID + '[[source]]\nname = "press"\n' + "\n".join(f"{key} = {value}" for key, value in given.items())
    examined = examine(write_configuration(tmp_path, text), {})
    assert all(problem.what for problem in examined.problems)
    if examined.plan is not None and examined.settings is not None:
        Core(examined.plan.sources, [], bounds(examined.settings.agent))
