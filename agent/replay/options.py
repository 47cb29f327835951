"""What the options of `forewarn replay` mean. All raise click.BadParameter, which is exit code 2."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import click
from pydantic import ValidationError

from agent.bundle.manifest import Manifest
from agent.config.agree import broker_faults
from agent.config.broker_settings import Broker
from agent.config.fit import budget_faults
from agent.config.settings import Model
from agent.decode.topic import DEVICE, Pattern
from agent.errors import ConfigurationRefused
from agent.judge.threshold import TIME_IN_ALARM_MAX, default_budget
from agent.near import nearest
from agent.replay.pace import AT_ONCE
from agent.replay.recorded import Layout, asked_by, asked_for
from agent.replay.require import Requirement
from agent.table.form import FileUnit
from agent.table.lives.keys import TableKeys
from agent.table.lives.logs import Failures, Faults, LabelKeys, Maintenance
from agent.table.lives.recording import Asked
from agent.values.times import time_zone

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


def broker_at(text: str, password_file: Path | None, ca_file: Path | None) -> Broker:
    """Read HOST:PORT or mqtt[s]://[USER@]HOST[:PORT]; mqtts means TLS."""
    is_plain = "://" not in text
    try:
        url = urlsplit(f"mqtt://{text}" if is_plain else text)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if (
        url.scheme not in _PORTS
        or not url.hostname
        or (is_plain and port is None)
        or url.password
        or url.path.strip("/")
    ):
        what = f"{text!r} is not HOST:PORT or mqtts://USER@HOST:PORT; a password goes into a file: --password-file"
        raise click.BadParameter(what, param_hint="--broker")
    try:
        broker = Broker(
            host=url.hostname,
            port=port or _PORTS[url.scheme],
            username=unquote(url.username or ""),
            password_file=password_file and password_file.absolute(),
            tls=url.scheme == "mqtts",
            ca_file=ca_file and ca_file.absolute(),
        )
    except ValidationError as error:
        what = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
        raise click.BadParameter(f"{text!r}: {what}", param_hint="--broker") from None
    for key, what in broker_faults(("broker",), broker):
        raise click.BadParameter(what, param_hint=f"--{key[-1]}".replace("_", "-"))
    return broker


@dataclass(frozen=True, slots=True)
class Budgets:
    """What false alarms may cost, as the command line has it; "" where it says nothing."""

    budget: str = ""
    anomaly_budget: str = ""
    time_in_alarm_max: float = TIME_IN_ALARM_MAX


def model_for(budgets: Budgets, manifest: Manifest, *, bundle: Path, n_devices: int) -> Model:
    """The bundle as an agent's configuration has it, at the budget of a bundle of this kind where none is given."""
    model = Model(
        bundle=bundle.resolve(),
        budget=budgets.budget or default_budget(manifest.time_unit),
        anomaly_budget=budgets.anomaly_budget,
        time_in_alarm_max=budgets.time_in_alarm_max,
        fleet_size=n_devices,
    )
    for (*_, key), problem in budget_faults(0, model, manifest):
        raise click.BadParameter(problem, param_hint=f"--{key}".replace("_", "-"))
    return model


def requirements(texts: Sequence[str], manifest: Manifest) -> list[Requirement]:
    """Those of `--require`."""
    try:
        counts_cycles = manifest.time_unit == "cycle"
        return [Requirement.parse(text, counts_cycles=counts_cycles, heads=manifest.judging) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--require") from None


@dataclass(frozen=True, slots=True)
class Labelled:
    """The files of rows and labels that the command line names; "" or None where it says nothing."""

    data: Sequence[str]
    config: Path | None = None
    truth: Path | None = None
    faults: Path | None = None
    maintenance: Path | None = None
    device: str = ""
    time: str = ""
    unit: FileUnit | None = None
    zone: str = ""


def asked(of: Labelled, manifest: Manifest) -> Asked:
    """What is to be read, and how. Raises ConfigurationRefused for a configuration that cannot be read by."""
    if of.config is None:
        if not of.data:
            raise click.BadParameter("name the recorded rows, or a --config that does", param_hint="--data")
        layout = _layout(of, manifest)
        return asked_for(manifest, of.data, layout, _labels(of, LabelKeys()))
    rivals = {"--device": of.device, "--time": of.time, "--time-unit": of.unit, "--zone": of.zone}
    if said := [option for option, value in rivals.items() if value]:
        raise click.BadParameter("--config says how rows are read", param_hint=said[0])
    keys = read_keys(of.config)
    _check_unit(keys.counts == "cycle", manifest, "--config")
    folder, places = of.config.parent.resolve(), [str(Path(place).absolute()) for place in of.data] or keys.rows
    return replace(asked_by(keys, folder, manifest, places), labels=_labels(of, keys))


def _labels(of: Labelled, keys: LabelKeys) -> LabelKeys:
    """With the files that the command line names in the place of others, whose columns stay."""
    files = {"failures": of.truth, "faults": of.faults, "maintenance": of.maintenance}
    tables = {"failures": Failures, "faults": Faults, "maintenance": Maintenance}
    changes: dict[str, object] = {}
    for key, path in files.items():
        if path is not None:
            table = getattr(keys, key)
            file = str(path.absolute() if of.config else path)  # those of a configuration start at its folder
            changes[key] = table.model_copy(update={"file": file}) if table else tables[key](file=file)
    if of.truth is not None and (keys.run_to_failure or (keys.label and keys.label.means == "failure")):
        raise click.BadParameter("the configuration says when devices failed", param_hint="--truth")
    return keys.model_copy(update=changes)


def read_keys(path: Path) -> TableKeys:
    """`[data]` of a training configuration. Raises ConfigurationRefused with every problem of it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8")).get("data", {})
    except OSError as error:
        raise ConfigurationRefused(path, str(error.strerror), next_step="Give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationRefused(path, f"is not TOML: {error}", next_step="Mend the line it names.") from error
    if not isinstance(content, dict) or content.get("dataset") != "table":
        what = 'data.dataset is not "table"'
        next_step = "Of another data set `forewarn-train fit` writes play.csv, truth.csv and faults.csv: give those."
        raise ConfigurationRefused(path, what, next_step=next_step)
    try:
        return TableKeys.model_validate(content)
    except ValidationError as error:
        problems = [_problem(one["loc"], one["type"], one["msg"]) for one in error.errors()]
        next_step = "`forewarn-train fit` reads the same table; docs/data.md has its keys."
        raise ConfigurationRefused(path, "\n  ".join(problems), next_step=next_step) from error


def _problem(key: tuple[int | str, ...], kind: str, message: str) -> str:
    name = ".".join(map(str, key))
    if kind != "extra_forbidden":
        return f"data.{name}: {message.removeprefix('Value error, ')}"
    near = nearest(str(key[-1]), TableKeys.model_fields) if len(key) == 1 else ""
    return f"data.{name}: unknown key" + (f"; did you mean {near}?" if near else "")


def _layout(of: Labelled, manifest: Manifest) -> Layout:
    """What the recording calls device and time."""
    if of.unit is not None:
        _check_unit(of.unit == "cycle", manifest, "--time-unit")
    try:
        time_zone(of.zone)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--zone") from None
    return Layout(of.device or "device", of.time or "t", of.unit, of.zone)


def _check_unit(counts_cycles: bool, manifest: Manifest, option: str) -> None:
    if counts_cycles != (manifest.time_unit == "cycle"):
        what = f"the bundle counts {'cycles' if manifest.time_unit == 'cycle' else 'seconds'}"
        raise click.BadParameter(what, param_hint=option)


def speed_of(text: str) -> float:
    """`max`, or how many times real time."""
    try:
        speed = AT_ONCE if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0 or (math.isinf(speed) and text != "max"):
        raise click.BadParameter(f"{text!r} is neither max nor a number above 0", param_hint="--speed")
    return speed


def topic(text: str) -> str:
    """A topic pattern that rows can be published to; "" where none is given."""
    if text:
        try:
            Pattern.parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--topic") from None
        if DEVICE not in text.split("/"):
            raise click.BadParameter(f"one level must be {DEVICE}, as in rig/{DEVICE}/row", param_hint="--topic")
        if any(wildcard in text for wildcard in "+#"):
            what = f"rows are published to it, so it holds no wildcard beside {DEVICE}"
            raise click.BadParameter(what, param_hint="--topic")
    return text
