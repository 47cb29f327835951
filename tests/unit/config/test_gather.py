"""The line of a key is found where it is written plainly, and never a line of another key."""

from agent.config.gather import LISTS, NAMED
from agent.config.key_types import key_types
from agent.config.lines import lines
from agent.config.settings import Settings

TEXT = '''# comment = 1
name = "x"
[agent]   # the daemon
node = "a"
 "state_dir" = "b"   # quoted and indented
a.b = 1
text = """
fake = 1
[broker]
"""
[[source]]
topic = "t"
time = { field = "x" }
[source.channels]
temp = "T"
[[source]]
topic = "u"
[ "model" ]
'bundle' = 1
'''


def test_lines():
    assert dict(lines(TEXT)) == {
        ("name",): 2,
        ("agent",): 3,
        ("agent", "node"): 4,
        ("agent", "state_dir"): 5,
        ("agent", "a", "b"): 6,
        ("agent", "text"): 7,
        ("source",): 11,
        ("source", 0): 11,
        ("source", 0, "topic"): 12,
        ("source", 0, "time"): 13,
        ("source", 0, "channels"): 14,
        ("source", 0, "channels", "temp"): 15,
        ("source", 1): 16,
        ("source", 1, "topic"): 17,
        ("model",): 18,
        ("model", "bundle"): 19,
    }


def test_every_key_outside_a_list_has_a_variable():
    """Those of [brokers.NAME] as soon as a file has that table."""
    tables = set(Settings.model_fields) - set(LISTS) - set(NAMED)
    keys = dict(key_types(Settings))
    named = dict(key_types(Settings, {"brokers": ["a", "b"]}))
    assert named.keys() - keys.keys() == {
        ("brokers", name, key[1]) for name in "ab" for key in keys if key[0] == "broker"
    }
    assert {key[0] for key in keys} == tables
    assert keys["output", "port"] is int
    assert all(len(key) == 2 for key in keys)
