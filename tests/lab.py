"""`forewarn check` of real files around `lab`, a bundle that counts seconds: temp, vib and flow, a row each 10 s."""

from pathlib import Path

import msgspec
from click.testing import CliRunner

from agent.bundle.manifest import Cadence, Channel
from agent.cli import main
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest

MODEL = '[agent]\nnode = "g"\nstate_dir = "state"\n[[model]]\nbundle = "lab.fwb"\nbudget = "1 per device per 30d"\n'
N_LINES = MODEL.count("\n")
TWO = '[[source]]\nname = "press"\ntopic = "a/{device}"\n[[source]]\nname = "flow"\ntopic = "b/{device}"\n'
CHANNELS = ("temp", "vib", "flow")


def write_lab(folder: Path, **of_temp: object) -> None:
    """of_temp: changes of its channel"""
    small = small_manifest()
    named = [msgspec.structs.replace(one, name=name) for one, name in zip(small.channels, CHANNELS, strict=True)]
    temp: Channel = msgspec.structs.replace(named[0], unit="degC", **of_temp)
    lab = msgspec.structs.replace(
        small, channels=(temp, *named[1:]), time_unit="s", cadence=Cadence(every_s=10.0, dt_max_s=60.0)
    )
    write_small_bundle(folder / "lab.fwb", lab)


def check(folder: Path, text: str) -> list[str]:
    """What is printed to standard error, less the doubt about the small bundle's budget and the folder of the file."""
    if not (folder / "lab.fwb").exists():
        write_lab(folder)
    path = folder / "forewarn.toml"
    path.write_text(text)
    result = CliRunner().invoke(main, ["check", str(path)], env={})
    assert isinstance(result.exception, SystemExit | None)
    lines = [line.replace(f"{folder}/", "") for line in result.stderr.splitlines() if ".budget: " not in line]
    assert result.exit_code == (2 if any(not line.startswith("doubtful: ") for line in lines) else 0), result.stderr
    return lines


def checked_source(folder: Path, text: str, topic: str = 'topic = "plant/{device}"') -> list[str]:
    """Of the source `press`, whose name stands in line 1, topic in 2, and the first line of `text` in 3."""
    lines = check(folder, f'{MODEL}[[source]]\nname = "press"\n{topic}\n{text}\n')
    return [_from_source(line) for line in lines]


def _from_source(line: str) -> str:
    """Lines are counted from the source's header."""
    head, _, rest = line.removeprefix("doubtful: ").partition(":")
    number, _, words = rest.partition(": ")
    return f"{int(number) - N_LINES - 1} {words}" if head == "forewarn.toml" else line
