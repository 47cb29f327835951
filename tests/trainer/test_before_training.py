"""Whatever in data or configuration would end a fit after its training is refused before the first epoch, or mended.

The recordings are those of other plants: a row a day and failures in the afternoon, a row a week, few and short lives.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agent.bundle.file import MEMBER_BYTES_MAX, Bundle, read
from agent.core import Bounds
from agent.errors import ConfigurationRefused, DataRefused, ForewarnError
from tests.trainer.fleet import SMALL_TOML, engine, fleet, small_config
from tests.trainer.recordings import table
from trainer import fit as fitting
from trainer.bundle.assemble import new_bundle
from trainer.bundle.golden_rows import golden
from trainer.cli import cli
from trainer.config import Augment, Config, Judge, Model, Risk, Rul, Train
from trainer.config_file import put, read_config
from trainer.data.check import check_histories, check_parts
from trainer.data.history import History
from trainer.data.split import Parts, Split, split
from trainer.data.table import write_table
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.text import as_text
from trainer.evaluation.warmup import late_starts
from trainer.export.streaming import streaming_of
from trainer.fit import fit
from trainer.model.features import fit_scaling
from trainer.model.network import Network

pytestmark = pytest.mark.slow

HOUR, DAY = 3600.0, 86_400.0
NAMES = ("T24", "T30", "Ps30")
START = 1.7e9 // DAY * DAY

FAST = small_config(
    data=table(), train=Train(epochs=1, batch=4), judge=small_config().judge.model_copy(update={"thresholds": 2})
)


def machines(n: int, n_rows: int, every_s: float, silence_s: float) -> list[History]:
    """Lives of `n_rows` and more, which end `silence_s` before the failure."""
    lives = [engine(f"m{index:02}", n_rows + index, seed=index) for index in range(n)]
    t_s = [START + every_s * np.arange(len(one.t_s)) for one in lives]
    return [replace(one, t_s=t, t_fail=float(t[-1]) + silence_s) for one, t in zip(lives, t_s, strict=True)]


def daily(**sections: object) -> Config:
    """A row a day at midnight; every other time is some days."""
    usual = {
        "data": table(time_unit="s", outliers="keep"),
        "model": Model(hidden=4, cadence=DAY, dt_max=9 * DAY),
        "train": Train(epochs=1, batch=4),
        "augment": Augment(smooth_rows=3, join_share=0),
        "risk": Risk(horizons=(5 * DAY, 10 * DAY, 20 * DAY)),
        "rul": Rul(cap=40 * DAY),
        "judge": Judge(horizon=20 * DAY, h_max=20 * DAY, h_min=4 * HOUR, clear_after=3 * DAY, thresholds=3),
    }
    return small_config(**(usual | sections))


def written(folder: Path, histories: Sequence[History]) -> Path:
    write_table(histories, NAMES, folder / "rows.csv", folder / "failures.csv")
    return folder


def refused(config: Config, histories: Sequence[History], folder: Path) -> ForewarnError:
    """What `fit` says, which has not trained: it did not even make its folder."""
    with pytest.raises(ForewarnError) as caught:
        fit(config, written(folder, histories), folder / "out")
    assert not (folder / "out").exists()
    return caught.value


def with_key(config: Config, text: str) -> Config:
    """The config with one key set as a message tells it."""
    content = config.model_dump()
    put(content, text)
    return Config.model_validate(content)


def test_failures_in_the_afternoon_of_daily_rows_and_a_narrow_h_min(tmp_path: Path) -> None:
    """No failure of the calibration devices could be judged; what the message proposes is trained."""
    told = refused(daily(), machines(14, 50, DAY, 14 * HOUR), tmp_path)
    assert told.where == "judge.h_min"
    assert told.what == (
        "is \"4h\", but no failure in part 'calibrate' of the split (3 recorded) can be judged: "
        'the rows end "14h" before it, and a warning counts until h_min before it'
    )
    assert told.next_step == 'Set judge.h_min = "14h": then 3 of them count; or record closer to the failures.'
    mended = with_key(daily(), "judge.h_min='14h'")
    manifest = read(fit(mended, tmp_path, tmp_path / "out")).manifest
    assert all(row.mean_lead_s >= 0 for row in manifest.judging["risk"].thresholds.rows)


def test_h_min_that_no_recording_allows_says_what_would() -> None:
    """The rows end before every window: h_min would have to be above h_max."""
    config = daily(rul=Rul(cap=90 * DAY), judge=daily().judge.model_copy(update={"horizon": 20 * DAY}))
    parts = split(machines(14, 150, DAY, 20 * DAY), config.split)
    with pytest.raises(DataRefused, match=r'\n  Set judge\.h_min = "20d" and judge\.h_max well above it, or record'):
        check_parts(parts, config.requirements)


def test_lives_shorter_than_h_min_are_told_as_such() -> None:
    config = daily(
        rul=Rul(cap=400 * DAY), judge=daily().judge.model_copy(update={"h_max": 300 * DAY, "h_min": 200 * DAY})
    )
    with pytest.raises(
        DataRefused, match=r"no failure in part 'calibrate' .* no longer than that, or end before it\n  Lower it"
    ):
        check_parts(split(machines(14, 50, DAY, 0.0), config.split), config.requirements)


def part_of(name: str, silence_s: float, config: Config) -> list[History]:
    """Machines that fail at their last row, but those of one part `silence_s` after it."""
    histories = machines(14, 50, DAY, 0.0)
    late = {one.device for one in getattr(split(histories, config.split), name)}
    return [replace(one, t_fail=float(one.t_s[-1]) + silence_s * (one.device in late)) for one in histories]


@pytest.mark.parametrize("name", ["fit", "calibrate", "play"])
def test_a_part_without_a_row_within_the_cap_is_refused(name: str, tmp_path: Path) -> None:
    told = refused(daily(), part_of(name, 41 * DAY, daily()), tmp_path)
    assert told.where == "rul.cap"
    assert told.what.startswith(f"is \"40d\", but no failure in part '{name}' of the split (")
    assert told.what.endswith('comes so soon after a row: the soonest comes "41d" after its device\'s last row')
    assert told.next_step == 'Set rul.cap well above "41d", or record closer to the failures.'


@pytest.mark.parametrize("name", ["fit", "calibrate"])
def test_a_part_without_a_row_within_the_judged_horizon_is_refused(name: str, tmp_path: Path) -> None:
    told = refused(daily(), part_of(name, 21 * DAY, daily()), tmp_path)
    assert (told.where, told.what[:10]) == ("judge.horizon", 'is "20d", ')


def test_play_devices_that_cannot_be_judged_are_refused(tmp_path: Path) -> None:
    """fit would end, but evaluate and replay could say nothing of the bundle's warnings."""
    told = refused(daily(), part_of("play", 14 * HOUR, daily()), tmp_path)
    assert "but no failure in part 'play'" in told.what


def test_cycles_are_told_as_numbers(tmp_path: Path) -> None:
    config = small_config(data=table())
    late = [replace(one, t_fail=one.t_fail + 3) for one in fleet()]
    told = refused(config, late, tmp_path)
    assert told.what.startswith("is 2, but no failure in part")
    assert told.next_step.startswith("Set judge.h_min = 3: then 3 of them count;")


@pytest.mark.parametrize(
    ("n_rows", "every_s", "name"),
    [(8, DAY, "six short lives, a row a day"), (40, 7 * DAY, "six lives of weekly rows")],
)
def test_few_and_short_lives_are_trained_and_evaluated(n_rows: int, every_s: float, name: str, tmp_path: Path) -> None:
    scale = every_s / DAY
    config = daily(
        split=Split(fit=2, calibrate=2, play=2),
        model=Model(hidden=4, cadence=every_s, dt_max=9 * every_s),
        risk=Risk(horizons=(2 * every_s, 4 * every_s)),
        rul=Rul(cap=20 * every_s),
        judge=daily().judge.model_copy(update={"horizon": 4 * every_s, "h_max": 5 * every_s, "h_min": scale}),
    )
    bundle = read(fit(config, written(tmp_path, machines(6, n_rows, every_s, 0.0)), tmp_path / "out"))
    assert bundle.manifest.judging["risk"].thresholds.n_devices == 2, name
    text = as_text(evaluate(bundle, tmp_path))
    assert f"{'25 / 50 / 75' if n_rows == 8 else '50 / 75'} rows unseen: left out" in text
    assert "nan" not in text


def test_a_bundle_that_an_agent_would_refuse_is_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the models of too large a network: here the bound is lowered."""
    monkeypatch.setitem(MEMBER_BYTES_MAX, "model.fp32.onnx", 1000)
    told = refused(small_config(data=table()), fleet(), tmp_path)
    assert isinstance(told, ConfigurationRefused)
    assert "would refuse its bundle, so nothing was trained: its model.fp32.onnx is larger than" in told.what
    assert "lower model.hidden" in told.next_step


def test_rows_that_an_agent_would_drop_are_refused_before_the_training(tmp_path: Path) -> None:
    """A message of so long names is larger than the agent takes."""
    names = tuple(f"{name}{'x' * 30_000}" for name in NAMES)
    write_table(fleet(), names, tmp_path / "rows.csv", tmp_path / "failures.csv")
    with pytest.raises(DataRefused, match=r"messages were played, 0 were scored; .*too_large"):
        fit(small_config(data=table(channels=names)), tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_rows_within_a_nanosecond_are_refused() -> None:
    first, *others = fleet()
    t_s = np.concatenate((first.t_s[:1] - 1, first.t_s[:1] - 1 + 1e-10, first.t_s[2:]))
    with pytest.raises(
        DataRefused, match=r"device '1' has two rows within a nanosecond, at 0\.000000000\n  Is the time"
    ):
        check_histories([replace(first, t_s=t_s), *others], small_config().requirements)


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(fitting, "train", pytest.fail)
    with pytest.raises(ConfigurationRefused, match=r"--out .*/file/out: not a directory\n  Give a folder"):
        fit(small_config(data=table()), written(tmp_path, fleet()), tmp_path / "file/out")


def untrained(histories: Sequence[History]) -> tuple[Bundle, Parts]:
    """The bundle of a network that has learnt nothing, and the parts of the histories."""
    parts = split(histories, FAST.split)
    model = streaming_of(Network(FAST).eval(), fit_scaling(parts.fit, FAST), FAST)
    return new_bundle(FAST, parts, model, "0" * 64), parts


def test_golden_rows_fit_in_however_long_the_lives_and_wide_the_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every twelfth row of them can be more than a bundle may hold; here the bound is lowered."""
    bundle, parts = untrained(fleet())
    usual = golden(bundle, parts.calibrate)
    monkeypatch.setattr("trainer.bundle.golden_rows.GOLDEN_BYTES", usual.state.nbytes)
    fewer = golden(bundle, parts.calibrate)
    assert 3 <= len(fewer.x) <= 2 + len(usual.x) / 2, "states before and after, and at least a row a device"


def test_late_starts_may_be_more_than_an_agent_takes_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is played as a device of its own, under a name of its own: that of the device may be as long as any."""
    bundle, parts = untrained([replace(one, device=one.device.rjust(128, "x")) for one in fleet()])
    at_once = late_starts(bundle, parts.calibrate)
    monkeypatch.setattr("trainer.evaluation.warmup.Bounds", lambda: Bounds(devices_max=4))
    in_turns = late_starts(bundle, parts.calibrate)
    assert len(in_turns) == len(at_once) > 4
    for mine, theirs in zip(in_turns, at_once, strict=True):
        assert mine.error.tobytes() == theirs.error.tobytes()


def test_an_option_of_the_command_is_as_bounded_as_the_key_that_it_replaces(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL_TOML)
    arguments = ["fit", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out"), "--epochs", "1000000"]
    assert "train.epochs: " in str(CliRunner().invoke(cli, arguments).exception)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("model.cadence='1h'", "model: dt_max (60) is below cadence (3600): every row would follow lost history"),
        ("judge.n=33", "judge.n: "),
        ("judge.thresholds=10001", "judge.thresholds: "),
        ("rul.cap=inf", "rul.cap: "),
        ("train.epochs=1000000", "train.epochs: "),
        ("model.cadence='1 cycle'", 'such as "30s", "1h" or "30d", not "1 cycle"'),
        ("judge.h_min=400000", "h_min (400000) must be below h_max (20)"),
        ("risk.horizons=[20, 5]", "horizons 20, 5 must be positive and rise"),
        ("judge.horizon=7", "judge.horizon (7) is none of risk.horizons (5, 10, 20)"),
        ("augment.warp=3", "augment.warp: must be a list in [ ]"),
        ("augment.warp=[1, 2, 3]", "augment.warp: should have at most 2 items"),
        ("model=3", "model: must be a table of the file"),
        ("data.dataset='tbl'", "data: dataset must be one of cmapss, pumps, table"),
    ],
)
def test_a_key_is_refused_in_words_of_the_file(change: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL_TOML)
    with pytest.raises(ConfigurationRefused) as caught:
        read_config(tmp_path / "small.toml", [change])
    assert what in caught.value.what
    assert not re.search(r"[Tt]uple|dictionary|\d\.0\b", caught.value.what), "words of Python"


def test_a_window_longer_than_every_life_is_refused_since_no_alert_could_be_false(tmp_path: Path) -> None:
    """Lives of some 60 days, warnings up to 90 days before: whatever alarms at once would look brilliant."""
    judge = daily().judge.model_copy(update={"h_max": 90 * DAY})
    lives = machines(14, 60, DAY, 2 * HOUR)
    said = str(refused(daily(judge=judge), lives, tmp_path))
    assert said.startswith(
        "judge.h_max: is \"90d\", but the longest life in part 'calibrate' of the split (3 recorded) is"
    )
    assert "every alert from its first row on would be a true one" in said
    sound = [replace(one, t_fail=None) if one.device in {"m00", "m01"} else one for one in lives]
    parts = Parts(tuple(lives[2:8]), (sound[0], *lives[8:11]), (sound[1], *lives[11:]))
    check_parts(parts, daily(judge=judge).requirements)
