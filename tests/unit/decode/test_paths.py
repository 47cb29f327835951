import pytest

from agent.decode.paths import Each, Keys, Path, path_problem, readings_steps


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("temp", Path(("temp",))),
        ("values.temp", Path(("values", "temp"))),
        ("Motor Temp [C].max", Path(("Motor Temp [C]", "max"))),
        ('"motor.speed".value', Path(("motor.speed", "value"))),
        ('"rx[0]"."{id}"', Path(("rx[0]", "{id}"))),
        ("$.ts", Path(("ts",), is_of_payload=True)),
        ("$", Path(("$",))),
        ("", Path(())),
        (".".join("abcdefgh"), Path(tuple("abcdefgh"))),
    ],
)
def test_a_path_names_fields_from_the_outermost_on(text, path):
    assert Path.parse(text) == path
    assert bool(path_problem(text)) == (text == "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a..b", "is no path"),
        (".a", "is no path"),
        ("a.", "is no path"),
        ('a"b', "is no path"),
        ('"a"b', "is no path"),
        ('"a', "is no path"),
        ("rx[].rssi", "goes into an array"),
        ("rx[0].rssi", "goes into an array"),
        ("{device}.temp", "a name in braces"),
        (".".join("abcdefghi"), "more than 8 levels deep"),
        ("a\tb", "a control character"),
        ("a\\b", "a backslash"),
    ],
)
def test_what_is_no_path_is_told(text, problem):
    with pytest.raises(ValueError, match=problem):
        Path.parse(text)
    assert problem in path_problem(text)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", ()),
        ("[]", (Each(),)),
        ("metrics[]", ("metrics", Each())),
        ("$.metrics[]", ("metrics", Each())),
        ("{device}", (Keys("device"),)),
        ("{line}.{device}[]", (Keys("line"), Keys("device"), Each())),
        ("lines[].rows[]", ("lines", Each(), "rows", Each())),
        ("[][]", (Each(), Each())),
        ("hourly.now", ("hourly", "now")),
    ],
)
def test_the_way_to_the_readings_goes_through_arrays_and_objects(text, steps):
    assert readings_steps(text) == steps


@pytest.mark.parametrize("text", ["a[].b", "a[", "a[0]", "a]", "{device}.x", "a..b[]", "a" + "[]" * 8])
def test_a_way_that_ends_at_no_reading_is_told(text):
    with pytest.raises(ValueError):
        readings_steps(text)
