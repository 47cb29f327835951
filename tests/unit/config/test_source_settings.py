"""What `check` refuses of sources: real files, each with its line and key."""

import pytest
from click.testing import CliRunner

from agent.cli import main
from tests.lab import MODEL, N_LINES, TWO, check, checked_source


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('device = "{line}"', "3 source[press].device: no level of 'plant/{device}' is called {line}, nor a payload"
         " field in `tags`"),
        ('device = "press 1"', "3 source[press].device: 'press 1' would be one machine for all topics that"
         " 'plant/{device}' matches"),
        ('device = "{device"', "3 source[press].device: '{device' has a brace without its partner: "),
        ('tags = { device = "id" }', "3 source[press].tags: a level of 'plant/{device}' and a payload field are both"),
        ('tags = { "a b" = "id" }', "3 source[press].tags: {a b} is no name: "),
        ('channel = "{name}"\npayload = { form = "value" }', "3 source[press].channel: no level of"
         " 'plant/{device}' is called {name}"),
        ('joins = "press"', "0 source[press]: joins itself"),
        ('joins = "mill"\nchannels = { temp = "t" }', "3 source[press].joins: there is no source 'mill'"),
        ('joins = "mill"\nalign = { lateness = "5s" }', "0 source[press]: align is the business of the source that it"
         " joins: set it at 'mill'"),
        ('joins = "mill"', "0 source[press]: joins 'mill' and brings nothing: `channels` must list"),
        ('broker = "b"', "3 source[press].broker: there is no [brokers.b]; there is none"),
        ('silent_after = "soon"', "3 source[press].silent_after: must be a duration such as"),
        ('silent_after = "3s"', "3 source[press].silent_after: must be 4s or more, four times agent.tick_every, and not"
         " '3s'"),
        ('silent_after = ""\ndevice_silent_after = "1m"', "0 source[press]: device_silent_after needs silent_after"),
        ('joins = "mill"\ndevice_silent_after = "1m"', "0 source[press]: device_silent_after is the business of the"
         " source that it joins: set it at 'mill'"),
        ('codec = "json_object"', '3 source[press].codec: "json_object" is called "json" now'),
        ('overload = "all"', "3 source[press].overload: must be 'newest', 'oldest' or 'block', not 'all'"),
        ("rate_max = -1", "3 source[press].rate_max: must be greater than or equal to 0, not -1"),
        ('[source.time]\nfield = "ts"\nunit = "iso8601"\nzone = "Europe/Berln"', "6 source[press].time.zone: there is"
         " no time zone 'Europe/Berln' on this machine; the nearest is Europe/Berlin"),
        ('[source.time]\nfield = "ts"\nunit = "s"\nzone = "Europe/Berlin"', "3 source[press].time: zone is for texts"),
        ('[source.align]\nevery = "10s"', "3 source[press].align: max_age (0s) is below every (10s): a value would be"),
        ('[source.align]\nevery = "10s"\nmax_age = "5s"', "3 source[press].align: max_age (5s) is below every (10s)"),
        ('[source.align]\nevery = "1s"\nmax_age = "5s"\nlateness = "6m"', "3 source[press].align: lateness is above 5m,"
         " 300 steps"),
        ("[source.align]\nquorum = 0.5", "3 source[press].align: quorum is for rows of a grid: give every too"),
        ('[source.align]\nevery = "10s"\nmax_age = "1m"\nquorum = 2', "6 source[press].align.quorum: must be less than"
         " or equal to 1, not 2"),
        ('[source.align]\nevry = "10s"', "4 source[press].align.evry: there is no such key; the nearest is every"),
        ('every = "10s"', "3 source[press].every: there is no such key here; there is one in [source.align]"),
        ('[source.align]\nevery = "10s"\nmax_age = "1m"\n[source.channels]\ntemp = { max_age = "1s" }',
         "7 source[press].channels.temp: max_age (1s) is below align.every (10s): the value would be gone before"),
        ('[source.channels]\ntemp = 5', "4 source[press].channels.temp: must be a payload field in quotes, or a table"),
        ('[source.channels]\ntemp = { feld = "t" }', "4 source[press].channels.temp.feld: there is no such key; the"
         " nearest is field"),
        ('[source.channels.temp]\nfield = "t"\nscale = 0', "3 source[press].channels.temp: scale must not be 0"),
        ('[source.channels.temp]\nfield = "t"\nscale = inf', "5 source[press].channels.temp.scale: must be a finite"),
        ('[source.channels.temp]\nwords = { ON = inf }', "3 source[press].channels.temp: the word 'ON' stands for an"),
        ('[source.channels.temp]\nevent = true\nscale = 2', "3 source[press].channels.temp: a channel that counts"),
        ('[source.channels.temp]\nevent = ""', "4 source[press].channels.temp.event: must not be empty: event = "),
        ('[source.channels.temp]\nevent = "e1"\nwords = { OK = 0 }', "3 source[press].channels.temp: the word 'OK' of"),
        ('[source.channels]\ntemp = "x"\nwear = { field = "x", event = "e1" }',
         "3 source[press].channels: 2 channels would be read from the"),
        ('[source.channels.temp]\nmissing = [true]', "4 source[press].channels.temp.missing[1]: must be a number, not"),
        ('[source.channels]\ntemp = "x"\nvib = "x"', "3 source[press].channels: 2 channels would be read from the"),
        ('[source.channels]\ntmp = "x"', "4 source[press].channels.tmp: the bundle has no channel 'tmp'; "),
        ("[source.interventions]\nwords = {}", "4 source[press].interventions.words: dictionary must have at least 1"),
        ('[source.interventions]\nwords = { fixed = "mended" }', "4 source[press].interventions.words.fixed: must be"
         " 'repaired', 'replaced'"),
        ('[source.payload]\nform = "value"', '4 source[press].payload.form: needs a channel that the topic names: '),
    ],
)  # fmt: skip
def test_a_key_of_a_source_is_refused_with_its_line(tmp_path, text, problem):
    (found,) = checked_source(tmp_path, text)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("topic", "problem"),
    [
        ('topic = "plant/x"', "source[press].device: nothing says which device a message is from: call a level of"
         " 'plant/x' {device}, or name a payload field, as in device = \"{machine}\" and tags = {"),
        ('topic = "$share/g/plant/{device}"', "source[press].topic: a shared subscription gives each message to any"
         " one of its readers, and a device's state would be torn apart. To use more machines, run several agents"),
        ('topic = []', "source[press].topic: tuple must have at least 1 item"),
        ("topic = 5", "source[press].topic: must be a topic in quotes, or a list of them"),
        ('topic = ["plant/{device}", 5]', "source[press].topic[2]: must be text in quotes, not 5"),
        ('topic = ["a/{device}", "a/{device}"]', "source[press].topic: names 'a/{device}' twice"),
        ('topic = ["a/{device}", "a/{device}/#"]', "source[press].topic: overlaps with 'a/{device}' of this source"),
        ('topic = ["a/{device}", "b/{name}"]', "source[press].device: nothing says which device"),
        ('topic = "a/{device}/{device}"', "source[press].topic: two levels are named {device}"),
        ('topic = "a/x{device}"', "source[press].topic: level 'x{device}' mixes a wildcard or a name with text"),
    ],
)  # fmt: skip
def test_a_topic_is_refused_with_its_line(tmp_path, topic, problem):
    """A missing `device` has no line of its own, so that of the source."""
    found, *others = checked_source(tmp_path, "", topic)
    number, _, words = found.partition(" ")
    assert words.startswith(problem)
    assert number == ("0" if ".device: " in problem else "2")
    assert all(".device: " in other for other in others)


def test_a_source_that_joins_another_brings_what_it_lists(tmp_path):
    joined = TWO + 'joins = "press"\nchannels = { flow = "q" }\n'
    held = joined.replace('"a/{device}"\n', '"a/{device}"\nalign = { every = "10s", max_age = "1m" }\n')
    assert check(tmp_path, MODEL + held) == []
    found = check(tmp_path, MODEL + joined)
    assert found == [
        f"doubtful: forewarn.toml:{N_LINES + 1}: source[press]: a row would have the channels of one message alone, of "
        "'press' and 'flow': give align.every and align.max_age"
    ]


@pytest.mark.parametrize(
    ("press", "flow", "model", "problem"),
    [
        ('channels = { flow = "q" }', 'joins = "press"\nchannels = { flow = "q" }', "",
         "source[flow].channels.flow: is read from the source 'press', too: leave it out of one of them"),
        ("", 'joins = "press"\nchannels = { flow = "q" }\ntime = { field = "n", unit = "cycle" }', "",
         "source[flow].time: the source 'press', which it joins, counts time"),
        ('joins = "flow"\nchannels = { temp = "t" }', 'joins = "press"\nchannels = { flow = "q" }', "",
         "source[press].joins: 'flow' joins 'press' itself: join that one"),
        ("", 'joins = "press"\nchannels = { flow = "q" }', 'sources = ["flow"]',
         "model[main].sources: the source 'flow' brings channels to the devices of 'press': name that one"),
        ("", 'joins = "press"\nchannels = { flow = "q", temp = "q" }', "",
         "source[flow].channels: 2 channels would be read from the payload field 'q'"),
    ],
)  # fmt: skip
def test_sources_that_do_not_go_together_are_refused(tmp_path, press, flow, model, problem):
    text = TWO.replace('topic = "a/{device}"\n', f'topic = "a/{{device}}"\n{press}\n') + flow
    found = [line.partition(": ")[2] for line in check(tmp_path, f"{MODEL}{model}\n{text}\n")]
    assert any(line.startswith(problem) for line in found), found


def test_a_source_without_a_channel_is_fine_as_long_as_there_is_no_model(tmp_path):
    """So somebody begins who does not know yet what arrives."""
    path = tmp_path / "forewarn.toml"
    path.write_text('[[source]]\nname = "press"\ntopic = "a/{device}"\n')
    result = CliRunner().invoke(main, ["check", str(path)], env={})
    assert (result.exit_code, result.stderr) == (0, "")
    assert "no channel" in result.stdout


def test_a_configuration_without_a_model_is_for_record_and_sample(tmp_path):
    path = tmp_path / "forewarn.toml"
    path.write_text('[agent]\nnode = "g"\nstate_dir = "s"\n' + TWO + 'joins = "press"\nchannels = { flow = "q" }\n')
    result = CliRunner().invoke(main, ["check", str(path)], env={})
    assert (result.exit_code, result.stderr) == (0, "")
    said = "there is no [[model]], so `forewarn record` and `forewarn sample` can run, and `forewarn run` cannot"
    assert said in result.stdout
    assert "  flow: json, device {device}: flow from q; into the rows of press" in result.stdout.splitlines()
    ran = CliRunner().invoke(main, ["run", "--config", str(path)], env={})
    assert (ran.exit_code, ran.stderr.partition("\n")[0]) == (2, f"{path}: there is no [[model]], so nothing to run")
    path.write_text(path.read_text().replace('flow = "q"', 'flow = "q", level = "q"'))
    (twice,) = CliRunner().invoke(main, ["check", str(path)], env={}).stderr.splitlines()
    assert twice.endswith("source[flow].channels: 2 channels would be read from the payload field 'q'")
