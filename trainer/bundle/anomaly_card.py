"""MODEL_CARD.md of a bundle that needs no labels, and its section in a bundle that has the risk too."""

from agent.bundle.manifest import Manifest
from agent.score.time_unit import unit_of
from trainer.anomaly.learn import Learnt
from trainer.bundle.model_card import channels_section, dealt_out
from trainer.config import Config
from trainer.data.plural import plural
from trainer.evaluation.anomaly_text import chart_as_text, net_as_text

BASES = {
    "failures": "from recorded failures",
    "intervals": "from labelled fault intervals",
    "normal": "from normal time alone",
}


def anomaly_card(manifest: Manifest, config: Config, head: Learnt) -> str:
    """MODEL_CARD.md of a bundle that has this head alone."""
    of = manifest.created_from
    sections = (
        f"# {manifest.name} {manifest.version}",
        f"Early warning by rows of {manifest.n_channels} channels unlike the device's own normal.",
        f"## Data\n{config.data.subject.source}, {dealt_out(manifest, config, 'scales and thresholds')}.",
        anomaly_section(manifest, head),
        channels_section(manifest),
        f"Made by forewarn {of.code_version}, seed {of.seed}, data SHA-256 `{of.data_sha256[:16]}...`",
    )
    return "\n\n".join(sections) + "\n"


def anomaly_section(manifest: Manifest, head: Learnt) -> str:
    """What the head is, of any bundle that has it."""
    of = manifest.anomaly
    assert of is not None
    unit = unit_of(manifest)
    rows = "\n".join(f"| {chart_as_text(chart)} | {chart.share:.0%} |" for chart in of.charts)
    learning = unit.text(of.learning_rows * manifest.cadence.every_s)
    exposure = unit.text(of.thresholds.exposure_s)
    return f"""## The head `anomaly`
It learns a device's own normal from its first {of.learning_rows} rows ({learning}) and says nothing meanwhile; a repair
or a replacement begins that again. It is the greatest of these charts, each over a value that it exceeds in one of 20
stretches of 64 normal rows of the calibration devices:

| chart | leads, of the calibration rows over the default threshold |
|---|---|
{rows}

{net_as_text(of.charts)} How they were chosen: {head.choice.why}.
Thresholds were chosen {BASES[of.thresholds.basis]}, {exposure} of {plural(of.thresholds.n_devices, "device")}.
A fault that is there while a device learns becomes its normal: `learned` above 1 says that its normal is farther from
the others' than one in a hundred of the fit devices' windows."""
