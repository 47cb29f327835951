"""What a new codec costs: one file, one line in CODECS, one folder of cases, one section of docs.

Shown with the codec of docs/sources.md, as the readers of that page would add it: its code is taken from there.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
CONTRACT = "tests/unit/decode/test_codec_contract.py"
CASES = {
    "two_lines": (b"5,1.5,2\n6,3,nan", [[5 * 10**9, [1.5, 2]], [6 * 10**9, [3, None]]], ["missing_channel"]),
    "one_line": (b"5,1.5,2", [[5 * 10**9, [1.5, 2]]], []),
    "short": (b"5,1.5", [], ["wrong_type"]),
    "word": (b"5,a,2", [], ["malformed"]),
    "before_1970": (b"-5,1.5,2", [], ["impossible_time"]),
    "empty": (b"", [], ["empty"]),
}


def code() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sources.md").read_text(), re.DOTALL)
    return found


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def run(root: Path, *arguments: str, returncode: int = 0) -> str:
    """What a Python that starts in a folder prints."""
    done = subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == returncode, done.stdout + done.stderr
    return done.stdout


def content(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and not {"__pycache__", ".hypothesis"} & {*path.parts})
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_codec_is_one_file_one_line_one_folder_of_cases_and_one_section(tmp_path):
    """In a copy of the project; the contract tests of the copy run over the toy."""
    for part in ("agent", "docs", "configs", "tests/data/codec", "tests/unit/decode"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    before = content(tmp_path)
    (tmp_path / "agent/decode/lines.py").write_text(code())
    catalogue = tmp_path / "agent/decode/codec.py"
    replaced(catalogue, "JsonCodec,\n", 'JsonCodec,\n    "lines": LinesCodec,\n')
    replaced(catalogue, "import JsonCodec\n", "import JsonCodec\nfrom agent.decode.lines import LinesCodec\n")
    pytest = ("-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={tmp_path}", CONTRACT)
    assert "tests/data/codec/lines is missing" in run(tmp_path, *pytest, "-k", "has_cases", returncode=1)
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

    said = run(tmp_path, *pytest, "-k", "lines")
    assert f"{CONTRACT}::test_a_payload_becomes_what_its_case_says[lines-two_lines] PASSED" in said
    page = run(tmp_path, "-c", "import runpy; print(runpy.run_path('docs/configuration_page.py')['page']())")
    assert re.search(r'^\| `codec` \|.* `"lines"`', page, re.MULTILINE)
