import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode.template import Template, braced_names

TEMPLATES = ("{a}/{b}", "{a}-{b}", "x{a}.{b}/{c}z", "{a}·{b}", "{a}//{b}", "{a}", "é{a}%")
VALUE = st.text("a-/.%2F·5B7C\0", max_size=4)


def test_a_template_is_filled_with_values_in_its_order():
    template = Template.parse("hall-{line}/{device}!")
    assert template.names == ("line", "device")
    assert template.composed(["l1", "p7"]) == template.told_apart(["l1", "p7"]) == "hall-l1/p7!"


def test_a_value_that_holds_the_character_between_two_does_not_merge_two_machines():
    template = Template.parse("{line}/{device}")
    assert template.told_apart(["a/b", "c"]) == "a%2Fb/c"
    assert template.told_apart(["a", "b/c"]) == "a/b/c"
    assert template.told_apart(["a%2Fb", "c"]) == "a%252Fb/c"


@given(st.sampled_from(TEMPLATES), st.data())
def test_other_values_give_another_text(text, data):
    template = Template.parse(text)
    values = st.tuples(*[VALUE] * len(template.names))
    one, other = data.draw(values), data.draw(values)
    assert (template.told_apart(one) == template.told_apart(other)) is (one == other)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{line}{device}", "need a character between them"),
        ("{line}a{device}", "need a character between them"),
        ("{line}%{device}", "need a character between them"),
        ("{line", "without its partner"),
        ("line}", "without its partner"),
        ("{{line}}", "without its partner"),
        ("{}", "is no name"),
        ("{a-b}", "is no name"),
        ("{a.b}", "is no name"),
    ],
)
def test_a_template_that_cannot_be_is_refused(text, match):
    with pytest.raises(ValueError, match=match):
        Template.parse(text)


def test_names_in_braces_of_any_text():
    assert braced_names('"a{b".{device}[]') == ("device",)
