"""Reading C-MAPSS: what is read, and what is refused with file, line and column."""

import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.errors import DataRefused
from tests.trainer.fleet import NAMES, engine, fleet, write_cmapss
from trainer.data.cmapss import CHANNELS, cmapss_folder, pick, read_test, read_train


def test_engines_come_back_as_written(tmp_path: Path) -> None:
    written = [engine("1", 40, seed=1), engine("2", 55, seed=2)]
    write_cmapss(tmp_path / "cmapss", written, written)
    folder = cmapss_folder(tmp_path)
    assert cmapss_folder(folder) == folder
    read = pick(read_train(folder, "FD001"), NAMES)
    for mine, theirs in zip(written, read, strict=True):
        assert (theirs.device, theirs.t_fail) == (mine.device, mine.t_fail)
        assert theirs.x.tobytes() == mine.x.tobytes()
        assert theirs.t_s.tolist() == mine.t_s.tolist()
    assert [history.t_fail for history in read_test(folder, "FD001")] == [40.0, 55.0]
    assert len(read_test(folder, "FD001")[0].t_s) == 30


def test_fd001_is_the_published_set(cmapss: Path) -> None:
    """Counts of the data set's paper; the training file alone is read."""
    histories = read_train(cmapss, "FD001")
    lives = [len(history.t_s) for history in histories]
    assert (len(lives), sum(lives), min(lives), max(lives)) == (100, 20631, 128, 362)
    first = dict(zip((channel.name for channel in CHANNELS), histories[0].x[0].tolist(), strict=True))
    assert first["T24"] == np.float32(641.82)
    assert first["Ps30"] == np.float32(47.47)
    assert first["W32"] == np.float32(23.4190)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda lines: [*lines[:3], lines[3] + " 7", *lines[4:]], "line 4: 27 columns, expected 26"),
        (lambda lines: [*lines[:3], lines[3].replace(" 1 ", " x ", 1), *lines[4:]], "line 4, column 3: 'x' is not a"),
        (lambda lines: [*lines[:3], lines[3].replace(" 1 ", " nan ", 1), *lines[4:]], "line 4, column 3: 'nan' is not"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 2, column 2: cycle 1 of unit 1 follows cycle 2"),
        (lambda lines: [*lines, lines[0]], "unit 1 comes back"),
        (lambda lines: [], "is empty"),
    ],
)
def test_a_spoilt_line_is_refused_by_name(tmp_path: Path, spoil: Callable[[list[str]], list[str]], what: str) -> None:
    write_cmapss(tmp_path, fleet(2), fleet(2))
    path = tmp_path / "train_FD001.txt.xz"
    lines = lzma.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(lzma.compress("\n".join(spoil(lines)).encode()))
    with pytest.raises(DataRefused) as refused:
        read_train(tmp_path, "FD001")
    assert what in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_torn_or_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="holds no C-MAPSS files"):
        cmapss_folder(tmp_path)
    write_cmapss(tmp_path, fleet(2), fleet(2))
    path = tmp_path / "test_FD001.txt.xz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataRefused, match="cannot be read"):
        read_test(tmp_path, "FD001")
    path.unlink()
    with pytest.raises(DataRefused, match="does not exist"):
        read_test(tmp_path, "FD001")


def test_remaining_lives_must_match_the_engines(tmp_path: Path) -> None:
    write_cmapss(tmp_path, fleet(2), fleet(2))
    (tmp_path / "RUL_FD001.txt").write_text("10\n")
    with pytest.raises(DataRefused, match="has 1 lines for 2 test engines"):
        read_test(tmp_path, "FD001")


def test_an_unknown_channel_is_refused(tmp_path: Path) -> None:
    write_cmapss(tmp_path, fleet(2), fleet(2))
    with pytest.raises(DataRefused, match="no channel 'T99'"):
        pick(read_train(tmp_path, "FD001"), ("T24", "T99"))
