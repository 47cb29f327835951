"""MODEL_CARD.md: what a bundle is for, what it was measured on, and what it is not for."""

from agent.bundle.manifest import Manifest
from trainer.config import Config
from trainer.held_out import Figures


def card(manifest: Manifest, config: Config, held_out: Figures) -> str:
    """Markdown for a human who decides whether to run this bundle."""
    of = manifest.created_from
    lives = sorted(manifest.lives_s)
    horizons = "\n".join(
        f"| {one.horizon_s:g} | {one.base_rate:.3f} | {one.brier:.4f} | {one.brier_of_base_rate:.4f} |"
        for one in held_out.horizons
    )
    channels = "\n".join(
        f"| {channel.name} | {channel.unit} | {channel.low:g} to {channel.high:g} | {channel.description} |"
        for channel in manifest.channels
    )
    n_fit, n_calibrate, n_play = len(of.fit_devices), len(of.calibrate_devices), len(of.play_devices)
    cap, rows = f"{config.rul.cap:g}", manifest.warmup_rows
    interval = f"{config.rul.low:g} to {config.rul.high:g}"
    coverage, width = f"{held_out.interval_coverage:.1%}", f"{held_out.interval_width_s:.0f}"
    judged = manifest.risk.horizons_s[manifest.judge.horizon]
    late, whole = manifest.metrics["late_start_brier"], manifest.metrics["whole_stream_brier"]
    exposure = f"{manifest.thresholds.exposure_s:.0f}"
    return f"""# {manifest.name} {manifest.version}

Early warning of turbofan failure from one row of {manifest.n_channels} channels a flight cycle: P(fault within each
horizon) and remaining life with an interval. A {config.model.layers} x {config.model.hidden} LSTM over scaled
channels, two running means and the time seen; one state a device, no window.

## Data
NASA C-MAPSS {config.data.subset} (Saxena et al., PHM08): simulated engines that run to failure, dealt out whole by
seed {config.split.seed}: {n_fit} fitted, {n_calibrate} for calibration and thresholds, {n_play} held out. The first
two groups lived {lives[0]:g} to {lives[-1]:g} cycles. A remaining life above {cap} is trained as {cap}.

## Measured on the {n_play} held-out engines, {held_out.n_rows} rows, int8, through the agent's core
RMSE of the remaining life over all rows, truth capped at {cap}: {held_out.rmse_s:.2f} cycles.
The {interval} interval holds the truth on {coverage} of the rows within the cap, at a mean width of {width} cycles.
Its middle is the least-squares estimate, not a median.

| horizon, cycles | base rate | Brier score | Brier score of the base rate |
|---|---|---|---|
{horizons}

Rows of one engine are alike: these figures are worth {n_play} engines, not {held_out.n_rows} rows.
`forewarn-train evaluate` gives the official test set and the early-warning score.

## Streams that start in mid-life
A zero state means "first seen". In training, {config.augment.join_share:.0%} of the lives began at a random row.
After {rows} rows the risks of a stream that starts late, at {judged:g} cycles and more, differ less from those of
the whole stream than those from the truth, measured on the calibration engines; until then every score says
`warming_up` and no alert is raised. Its Brier score at {judged:g} cycles is {late:.4f} from then on, against
{whole:.4f} of whole streams at the same rows. The other figures are those of engines heard from their first cycle.

## Not for
- Other regimes or fault modes (FD002, FD003, FD004), other machines, or real engines: the data is simulated.
- Engines repaired in between without their state being reset: the model has never seen wear go back.
- Lives far outside the range above, or rows that do not come once a cycle.
- Holding a budget on engines heard from mid-life on: the thresholds were measured on whole lives.
- Budgets finer than the {exposure} cycles of the calibration engines can vouch for; they are marked `extrapolated`.

## Channels
| channel | unit | range seen | meaning |
|---|---|---|---|
{channels}

Made by forewarn {of.code_version}, seed {of.seed}, data SHA-256 `{of.data_sha256[:16]}...`
"""
