"""What every bench writes alike."""

import json

import pytest

from bench.result import cpu_model, machine, markdown, ratio, versions, write


def test_the_machine_is_named():
    found = machine()
    assert list(found) == ["cpu", "cores", "python", "kernel"]
    assert all(found.values())


def test_the_cpu_is_named_by_its_model_and_else_by_its_architecture():
    assert (
        cpu_model("processor\t: 0\nmodel name\t: Xeon @ 2.10GHz: fast\nmodel name\t: other\n") == "Xeon @ 2.10GHz: fast"
    )
    assert cpu_model("processor\t: 0\nBogoMIPS\t: 50\n") != ""


def test_versions_name_what_is_installed():
    found = versions()
    assert {"forewarn", "numpy", "onnxruntime", "paho-mqtt"} <= found.keys()
    assert found["numpy"].split(".")[0].isdecimal()


def test_a_ratio_is_told_with_its_range_and_null_without_a_round():
    assert ratio([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert ratio([]) == {"median": None, "min": None, "max": None}


def test_what_a_bench_found_is_written_under_stable_names(tmp_path):
    path = tmp_path / "new" / "x.json"
    write(path, "x", [{"method": "lstm", "lead": float("nan")}], {"lstm_over_age": ratio([2.0])})
    found = json.loads(path.read_text())
    assert list(found) == ["bench", "machine", "versions", "rows", "ratios"]
    assert (found["bench"], found["rows"]) == ("x", [{"method": "lstm", "lead": None}])
    assert found["ratios"] == {"lstm_over_age": {"median": 2.0, "min": 2.0, "max": 2.0}}
    write(None, "x", [])


def test_a_table_reads_as_markdown():
    assert markdown(("method", "lead"), [("lstm", 48.1)]) == "| method | lead |\n| --- | ---: |\n| lstm | 48.1 |"
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        markdown(("method", "lead"), [("lstm",)])
