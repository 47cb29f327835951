"""MODEL_CARD.md: what a bundle is for, what it was measured on, and what it is not for."""

from agent.bundle.manifest import Manifest
from agent.judge.threshold import choose, default_budget, parse_budget
from agent.score.time_unit import unit_of
from trainer.config import Config
from trainer.data.plural import plural
from trainer.evaluation.interval_coverage import percent
from trainer.evaluation.metrics import Figures
from trainer.evaluation.text import WORSE, beside_constant


def model_card(manifest: Manifest, config: Config, held_out: Figures) -> str:
    """Markdown for a human who decides whether to run this bundle."""
    of = manifest.created_from
    made_by = f"Made by forewarn {of.code_version}, seed {of.seed}, data SHA-256 `{of.data_sha256[:16]}...`"
    sections = (
        summary(manifest, config),
        data_section(manifest, config),
        measured_section(manifest, config, held_out),
        late_start_section(manifest, config),
        not_for_section(manifest, config),
        channels_section(manifest),
        made_by,
    )
    return "\n\n".join(sections) + "\n"


def summary(manifest: Manifest, config: Config) -> str:
    """Name, what it warns of, and what the network is."""
    about = config.data.subject
    layers = f"{config.model.layers} `{config.model.cell}` layers of {config.model.hidden} units"
    taught = "" if config.distill is None else " It learnt from a larger network, which is not in here."
    return f"""# {manifest.name} {manifest.version}

Early warning of {about.failure} from one row of {manifest.n_channels} channels {about.row}: P(fault within each
horizon) and remaining life with an interval. {layers} over scaled
channels, two running means and the time seen; one state a device, no window.{taught}"""


def data_section(manifest: Manifest, config: Config) -> str:
    """Where the data comes from, and how it was dealt out."""
    unit = unit_of(manifest)
    lives = sorted(map(unit.of, manifest.lives_s))
    cap = f"{unit.of(config.rul.cap):g}"
    of_failed = f"{len(lives)} of the first two {'parts' if config.split.by == 'time' else 'groups'} that failed"
    return f"""## Data
{config.data.subject.source}, {dealt_out(manifest, config, "calibration and thresholds")}. The
{of_failed} lived {lives[0]:g} to {lives[-1]:g} {unit.plural}. A remaining life
above {cap} is trained as {cap}."""


def dealt_out(manifest: Manifest, config: Config, middle: str) -> str:
    """Which part was for what; `middle` is what those are for on which nothing is fitted and nothing measured."""
    of, split = manifest.created_from, config.split
    if split.by == "time":
        shares = f"{split.fit} : {split.calibrate} : {split.play}"
        return f"cut at two dates into rows as\n{shares}: the first fitted, the second for {middle}, the last held out"
    numbers = (len(of.fit_devices), len(of.calibrate_devices), len(of.play_devices))
    fitted, calibrated, held_out = numbers
    return f"dealt out whole by\nseed {split.seed}: {fitted} fitted, {calibrated} for {middle}, {held_out} held out"


def measured_section(manifest: Manifest, config: Config, held_out: Figures) -> str:
    """The figures on the held-out devices, and how far to trust them."""
    about, unit, interval = config.data.subject, unit_of(manifest), held_out.interval
    device, units = about.device, unit.plural
    of = manifest.created_from
    n_calibrate, n_play = len(of.calibrate_devices), len(of.play_devices)
    calibrated_on = f"{n_calibrate} other {device}s"
    if config.split.by == "time":
        calibrated_on = f"the time before, {plural(n_calibrate, device)}"
    error = beside_constant(held_out.rmse_s, held_out.rmse_of_constant_s, unit)
    worse = f"\n**{WORSE}**" if held_out.rmse_s > held_out.rmse_of_constant_s else ""
    width = f"{unit.of(interval.whole.width_s):.{0 if unit.size_s == 1 else 1}f}"
    quarters = ", ".join(f"{quarter.share:.0%}" for quarter in interval.by_left)
    streams = "as new and of unknown age; the risk also on streams joined after a quarter and half of their lives"
    streams = "as new" if manifest.trained_for == "from_new" else streams
    horizons = "\n".join(
        f"| {unit.of(one.horizon_s):g} | {one.base_rate:.3f} | {one.brier:.4f} | {one.brier_of_base_rate:.4f} "
        f"| {one.calibration_error:.3f} |"
        for one in held_out.horizons
    )
    return f"""## Measured on {plural(n_play, f"held-out {device}")}, {held_out.n_rows} rows, int8, \
through the agent's core
Remaining life over all rows, truth capped at {unit.of(config.rul.cap):g}: {error}.{worse}
The {config.rul.low:g} to {config.rul.high:g} interval holds the truth on {interval.whole.share:.1%} of the rows \
within the cap, at a mean width of {width} {units}.
Over {device}s like these that is {percent(interval.whole.share_95)} (95 %); on a tenth of them it holds on \
at most {interval.of_devices.low:.0%} of the rows.
By quarters of the cap, the last before the failure first: {quarters}.
Its middle is the least-squares estimate, not a median.

| horizon, {units} | base rate | Brier score | Brier score of the base rate | said and observed differ by |
|---|---|---|---|---|
{horizons}

Calibrated on {calibrated_on}, heard {streams} (docs/calibration.md).
Rows of one {device} are alike: these figures are worth {plural(n_play, device)}, not {held_out.n_rows} rows.
The last column is the mean distance, over tenths of the risk, of what came true from what was said.
`forewarn-train evaluate` gives {about.test_set}the early-warning score."""


def late_start_section(manifest: Manifest, config: Config) -> str:
    """What a stream that starts in mid-life gets, and from which row on."""
    about, unit, rows = config.data.subject, unit_of(manifest), manifest.warmup_rows
    judged = unit.of(manifest.horizons_s[manifest.judging["risk"].policy.horizon])
    late, whole = manifest.metrics["late_start_brier"], manifest.metrics["whole_stream_brier"]
    after = "From the first row on" if rows == 1 else f"After {rows} rows"
    return f"""## Streams that start in mid-life
A zero state means "first seen". In training, {config.augment.join_share:.0%} of the lives began at a random row.
{after} the risks of a stream that starts late, at {judged:g} {unit.plural} and more, differ less from those of
the whole stream than those from the truth, measured on the calibration {about.device}s; until then every score says
`warming_up` and no alert is raised. Its Brier score at {judged:g} {unit.plural} is {late:.4f} from then on, against
{whole:.4f} of whole streams at the same rows. The other figures are those of {about.device}s of
unknown age, heard from their {about.first}."""


def not_for_section(manifest: Manifest, config: Config) -> str:
    """Where the bundle must not be relied on."""
    about, unit = config.data.subject, unit_of(manifest)
    budget = parse_budget(default_budget(manifest.time_unit), fleet_size=0)
    finest = choose(manifest.judging["risk"].thresholds, budget).finest_budget
    exposure = f"{unit.of(manifest.judging['risk'].thresholds.exposure_s):.0f}"
    return f"""## Not for
- {about.not_for}
- {about.reset}
- Lives far outside the range above, or rows that do not come once {about.every}.
- Holding a budget on {about.device}s heard from mid-life on: the thresholds were measured on whole lives.
- Budgets finer than `{finest}`, all that {exposure} {unit.plural} of calibration {about.device}s vouch for: \
`extrapolated`."""


def channels_section(manifest: Manifest) -> str:
    """The channels with the ranges seen."""
    channels = "\n".join(
        f"| {channel.name} | {channel.unit} | {channel.low:g} to {channel.high:g} | {channel.description} |"
        for channel in manifest.channels
    )
    return f"""## Channels
| channel | unit | range seen | meaning |
|---|---|---|---|
{channels}{mapped_section(manifest)}{runs_section(manifest)}"""


def runs_section(manifest: Manifest) -> str:
    """When a machine runs, where the bundle says so."""
    runs = manifest.runs
    if runs is None:
        return ""
    after = f", from {unit_of(manifest).text(runs.after_s)} after it rose above that" if runs.after_s else ""
    return f"""

A machine runs while `{runs.channel.name}` is above {runs.above:g}{after}. Rows of other times are left out."""


def mapped_section(manifest: Manifest) -> str:
    """What stood for values in the recordings: an agent reads payloads likewise."""
    lines = []
    for channel in manifest.inputs:
        words = [f"`{word}` = {number:g}" for word, number in channel.words.items()]
        no_value = [f"{code:.15g}" for code in channel.missing] + [f"`{word}`" for word in channel.missing_words]
        parts = [f"column `{channel.column}`"] if channel.column else []
        parts += [*words, *([f"{', '.join(no_value)} = no value"] if no_value else [])]
        if parts:
            lines.append(f"- {channel.name}: {', '.join(parts)}")
    if not lines:
        return ""
    return "\n\nHow the recordings had them; an agent takes the numbers and words of payloads likewise:\n\n" + (
        "\n".join(lines)
    )
