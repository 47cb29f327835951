"""MODEL_CARD.md: what a bundle is for, what it was measured on, and what it is not for."""

from dataclasses import dataclass

from agent.bundle.manifest import Manifest
from agent.judge.threshold import choose, default_budget, parse_budget
from agent.score.time_unit import unit_of
from trainer.config import Cmapss, Config, Pumps, Table
from trainer.data.counted import counted
from trainer.evaluation.interval_coverage import percent
from trainer.evaluation.metrics import Figures
from trainer.evaluation.text import WORSE, beside_constant


@dataclass(frozen=True, slots=True)
class Subject:
    """The words in which one data set differs from another."""

    failure: str
    row: str
    source: str
    device: str
    every: str
    first: str
    test_set: str
    not_for: str
    reset: str


def subject(data: Cmapss | Pumps | Table) -> Subject:
    """What a bundle of this data set watches."""
    if isinstance(data, Cmapss):
        return Subject(
            failure="turbofan failure",
            row="a flight cycle",
            source=f"NASA C-MAPSS {', '.join(data.subsets)} (Saxena et al., PHM08), engines that run to failure",
            device="engine",
            every="a cycle",
            first="first cycle",
            test_set="the official test set and ",
            not_for="Regimes or fault modes that are not in these sets, other or real engines: these are simulated.",
            reset="Engines repaired in between without their state being reset: the model has never seen wear go back.",
        )
    if isinstance(data, Table):
        ends = "each run to its failure" if data.run_to_failure else f"failures from {data.failures}"
        return Subject(
            failure="failures like those recorded,",
            row="at a time",
            source=f"Recordings from {', '.join(data.rows)}, {ends}",
            device="device",
            every="a cadence",
            first="first row",
            test_set="",
            not_for="Other machines than those recorded, or failures of a kind that is not among the recorded ones.",
            reset="Devices repaired without their state being reset: a recorded life has no repair in it.",
        )
    return Subject(
        failure="centrifugal pump failure",
        row="an hour",
        source=f"The simulated pump fleet {data.fleet_seed} (docs/pumps.md): pumps that run to failure",
        device="pump",
        every="an hour",
        first="start",
        test_set="",
        not_for="Real pumps, or faults that are not simulated: the data is.",
        reset="Pumps whose worn part is replaced without their state being reset: a service undid 60 % at most.",
    )


def card(manifest: Manifest, config: Config, held_out: Figures) -> str:
    """Markdown for a human who decides whether to run this bundle."""
    of = manifest.created_from
    unit, about = unit_of(manifest), subject(config.data)
    lives = sorted(map(unit.of, manifest.lives_s))
    horizons = "\n".join(
        f"| {unit.of(one.horizon_s):g} | {one.base_rate:.3f} | {one.brier:.4f} | {one.brier_of_base_rate:.4f} "
        f"| {one.calibration_error:.3f} |"
        for one in held_out.horizons
    )
    channels = "\n".join(
        f"| {channel.name} | {channel.unit} | {channel.low:g} to {channel.high:g} | {channel.description} |"
        for channel in manifest.channels
    )
    n_fit, n_calibrate, n_play = len(of.fit_devices), len(of.calibrate_devices), len(of.play_devices)
    cap, rows = f"{unit.of(config.rul.cap):g}", manifest.warmup_rows
    device, units = about.device, unit.plural
    quantiles = f"{config.rul.low:g} to {config.rul.high:g}"
    digits = 0 if unit.size_s == 1 else 1
    interval = held_out.interval.whole
    coverage, width = f"{interval.share:.1%}", f"{unit.of(interval.width_s):.{digits}f}"
    drawn = percent(interval.share_95)
    worst = f"{held_out.interval.of_devices.low:.0%}"
    heard = "as new and of unknown age; the risk also on streams joined after a quarter and half of their lives"
    heard = "as new" if manifest.trained_for == "from_new" else heard
    quarters = ", ".join(f"{one.share:.0%}" for one in held_out.interval.by_left)
    judged = unit.of(manifest.risk.horizons_s[manifest.judge.horizon])
    late, whole = manifest.metrics["late_start_brier"], manifest.metrics["whole_stream_brier"]
    layers = f"{config.model.layers} `{config.model.cell}` layers of {config.model.hidden} units"
    taught = "" if config.distill is None else " It learnt from a larger network, which is not in here."
    budget = parse_budget(default_budget(manifest.time_unit), fleet_size=0)
    finest = choose(manifest.thresholds, budget).finest_budget
    exposure = f"{unit.of(manifest.thresholds.exposure_s):.0f}"
    error = beside_constant(held_out.rmse_s, held_out.rmse_of_constant_s, unit)
    worse = f"\n**{WORSE}**" if held_out.rmse_s > held_out.rmse_of_constant_s else ""
    after = "From the first row on" if rows == 1 else f"After {rows} rows"
    return f"""# {manifest.name} {manifest.version}

Early warning of {about.failure} from one row of {manifest.n_channels} channels {about.row}: P(fault within each
horizon) and remaining life with an interval. {layers} over scaled
channels, two running means and the time seen; one state a device, no window.{taught}

## Data
{about.source}, dealt out whole by
seed {config.split.seed}: {n_fit} fitted, {n_calibrate} for calibration and thresholds, {n_play} held out. The
{len(lives)} of the first two groups that failed lived {lives[0]:g} to {lives[-1]:g} {units}. A remaining life
above {cap} is trained as {cap}.

## Measured on {counted(n_play, f"held-out {device}")}, {held_out.n_rows} rows, int8, through the agent's core
Remaining life over all rows, truth capped at {cap}: {error}.{worse}
The {quantiles} interval holds the truth on {coverage} of the rows within the cap, at a mean width of {width} {units}.
Over {device}s like these that is {drawn} (95 %); on a tenth of them it holds on at most {worst} of the rows.
By quarters of the cap, the last before the failure first: {quarters}.
Its middle is the least-squares estimate, not a median.

| horizon, {units} | base rate | Brier score | Brier score of the base rate | said and observed differ by |
|---|---|---|---|---|
{horizons}

Calibrated on {n_calibrate} other {device}s, heard {heard} (docs/calibration.md).
Rows of one {device} are alike: these figures are worth {counted(n_play, device)}, not {held_out.n_rows} rows.
The last column is the mean distance, over tenths of the risk, of what came true from what was said.
`forewarn-train evaluate` gives {about.test_set}the early-warning score.

## Streams that start in mid-life
A zero state means "first seen". In training, {config.augment.join_share:.0%} of the lives began at a random row.
{after} the risks of a stream that starts late, at {judged:g} {units} and more, differ less from those of
the whole stream than those from the truth, measured on the calibration {device}s; until then every score says
`warming_up` and no alert is raised. Its Brier score at {judged:g} {units} is {late:.4f} from then on, against
{whole:.4f} of whole streams at the same rows. The other figures are those of {device}s of
unknown age, heard from their {about.first}.

## Not for
- {about.not_for}
- {about.reset}
- Lives far outside the range above, or rows that do not come once {about.every}.
- Holding a budget on {device}s heard from mid-life on: the thresholds were measured on whole lives.
- Budgets finer than `{finest}`, all that {exposure} {units} of calibration {device}s vouch for: `extrapolated`.

## Channels
| channel | unit | range seen | meaning |
|---|---|---|---|
{channels}

Made by forewarn {of.code_version}, seed {of.seed}, data SHA-256 `{of.data_sha256[:16]}...`
"""
