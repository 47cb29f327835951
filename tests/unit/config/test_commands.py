"""[commands]: a source of commands beside each source with devices, and nobody else who reads their topics."""

from agent.config.load import examine
from agent.config.summary import report, text
from tests.bundles import write_small_bundle
from tests.configurations import SOURCE, VALID, write_configuration

COMMANDS = "[commands]\ninterventions = true\n"
WORK = """
[[source]]
name = "work"
joins = "press"
topic = "{topic}"
[source.time]
field = "t"
unit = "cycle"
[source.interventions]
field = "kind"
words = {{ fixed = "repaired" }}
"""


def examined(tmp_path, added=""):
    write_small_bundle(tmp_path / "small.fwb")
    return examine(write_configuration(tmp_path, VALID + SOURCE + added), {})


def test_without_the_table_no_source_brings_commands(tmp_path):
    planned = examined(tmp_path).plan
    assert [one.name for one in planned.sources] == ["press"]


def test_each_owner_has_one_that_reads_its_topic_from_the_same_broker(tmp_path):
    found = examined(tmp_path, WORK.format(topic="orders/{device}") + COMMANDS)
    assert found.problems == ()
    *_, commands = found.plan.sources
    assert [one.name for one in found.plan.sources] == ["press", "work", "cmd/press"]
    assert (commands.topics, commands.joins) == (("forewarn/gateway-1/cmd/intervention/press",), "press")
    assert (commands.time_unit, commands.codec, commands.channels) == ("cycle", "command", ())
    assert [one.qos for one in found.plan.subscriptions][-1] == 1
    would_run = report(found).would_run
    assert "cmd/press: interventions in devices of press, by command" in [*text(would_run)]


def test_each_owner_has_one_that_brings_labels_of_its_alerts(tmp_path):
    found = examined(tmp_path, WORK.format(topic="orders/{device}") + "[commands]\nlabels = true\n")
    assert found.problems == ()
    *_, labels = found.plan.sources
    assert [one.name for one in found.plan.sources] == ["press", "work", "cmd/label/press"]
    assert (labels.topics, labels.joins) == (("forewarn/gateway-1/cmd/label/press",), "press")
    assert [one.qos for one in found.plan.subscriptions][-1] == 1
    assert "cmd/label/press: labels of alerts of press, by command" in [*text(report(found).would_run)]


def test_no_source_reads_the_commands(tmp_path):
    """On another broker than the output's, where the topics that forewarn writes are free to read."""
    output = '[output]\nhost = "elsewhere"\n'
    work = WORK.format(topic="forewarn/gateway-1/cmd/{device}/#")
    assert examined(tmp_path, work + output).problems == ()
    (problem,) = examined(tmp_path, work + output + COMMANDS).problems
    assert problem.what == "would read the commands to this agent, below forewarn/gateway-1/cmd"
    assert problem.key == "source[work].topic"


def test_a_source_that_only_brings_interventions_needs_a_field_that_its_codec_can_read(tmp_path):
    text_of = WORK.format(topic="orders/{device}").replace('field = "kind"\n', "")
    (problem,) = examined(tmp_path, text_of).problems
    assert problem.key == "source[work].interventions.field"
