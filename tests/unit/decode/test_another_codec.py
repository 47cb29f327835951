"""What a new codec costs, shown with a toy: one file, one line in CODECS, one folder of cases, one section of docs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
CONTRACT = "tests/unit/decode/test_codec_contract.py"
CODEC = '''"""The codec `lines`: rows of comma-separated numbers, the time first."""

import numpy as np

from agent.decode.readings import Decoded, Fault
from agent.words import Source


class LinesCodec:
    """A payload has a reading a line."""

    def __init__(self, source: Source) -> None:
        self._n_values = 1 + len(source.fields)

    def decode(self, payloads, arrived_ns):
        rows, values, faults = [], [], []
        for row, payload in enumerate(payloads):
            try:
                lines = [[float(value) for value in line.split(b",")] for line in payload.split(b"\\n")]
            except ValueError as error:
                faults.append(Fault(row, "malformed" if payload else "empty", str(error)))
                continue
            whole = [line for line in lines if len(line) == self._n_values and 0 <= line[0] < 1e9]
            if len(whole) < len(lines):
                faults.append(Fault(row, "wrong_type", "a line has another number of values"))
            rows += [row] * len(whole)
            values += whole
        found = np.array(values, np.float64).reshape(len(rows), self._n_values)
        with np.errstate(over="ignore"):
            x = found[:, 1:].astype(np.float32)
        return Decoded(np.array(rows, np.int64), (found[:, 0] * 1e9).astype(np.int64), x, faults)
'''
CASES = {
    "two_lines": (b"5,1.5,2\n6,3,nan", [[5 * 10**9, [1.5, 2]], [6 * 10**9, [3, None]]], ["missing_channel"]),
    "one_line": (b"5,1.5,2", [[5 * 10**9, [1.5, 2]]], []),
    "word": (b"5,a,2", [], ["malformed"]),
    "empty": (b"", [], ["empty"]),
}


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def run(root: Path, *arguments: str) -> str:
    """What a Python that starts in a folder prints."""
    done = subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def content(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and not {"__pycache__", ".hypothesis"} & {*path.parts})
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_codec_is_one_file_one_line_one_folder_of_cases_and_one_section(tmp_path):
    """In a copy of the project; the contract tests of the copy run over the toy."""
    for part in ("agent", "docs", "configs", "tests/data/codec", "tests/unit/decode"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    before = content(tmp_path)
    (tmp_path / "agent/decode/lines.py").write_text(CODEC)
    catalogue = tmp_path / "agent/decode/codec.py"
    replaced(catalogue, "JsonObjectCodec,\n", 'JsonObjectCodec,\n    "lines": LinesCodec,\n')
    replaced(catalogue, "JsonObjectCodec\n", "JsonObjectCodec\nfrom agent.decode.lines import LinesCodec\n")
    folder = tmp_path / "tests/data/codec/lines"
    folder.mkdir()
    source = {"time_field": "t", "time_unit": "s", "fields": ["temp", "load"]}
    (folder / "source.json").write_text(json.dumps(source))
    for name, (payload, readings, drops) in CASES.items():
        (folder / f"{name}.payload").write_bytes(payload)
        (folder / f"{name}.json").write_text(json.dumps({"readings": readings, "drops": drops}))
    replaced(tmp_path / "docs/sources.md", "### How to add a codec", "### `lines`\nRows.\n\n### How to add a codec")
    after = content(tmp_path)
    touched = {name for name in after if after[name] != before.get(name)}
    assert {name for name in touched if not name.startswith("tests/data/codec/lines/")} == {
        "agent/decode/lines.py",
        "agent/decode/codec.py",
        "docs/sources.md",
    }

    said = run(tmp_path, "-m", "pytest", "-v", "-c", "/dev/null", f"--rootdir={tmp_path}", CONTRACT)
    assert f"{CONTRACT}::test_a_payload_becomes_what_its_case_says[lines-two_lines] PASSED" in said
    page = run(tmp_path, "-c", "import runpy; print(runpy.run_path('docs/configuration_page.py')['page']())")
    assert '| `codec` | `"json_object"`, `"lines"` |' in page
