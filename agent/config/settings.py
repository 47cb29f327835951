"""The configuration as frozen, closed models: a default and a sentence for every key.

The tables of brokers and sources have files of their own. docs/configuration.md is generated from all of them.
"""

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent.config.alert_settings import Alerts, Commands
from agent.config.broker_settings import Broker
from agent.config.gather import Gathered
from agent.config.quantity import Duration, Size
from agent.config.settings_sources import settings_sources
from agent.config.source_settings import SourceSettings
from agent.config.table import DAY, HOUR, MINUTE, MS, NAME, SECOND, Table
from agent.judge.threshold import TIME_IN_ALARM_MAX, default_budget
from agent.words import MAIN_MODEL

SOURCES_MAX = 1000
MODELS_MAX = 100
BROKERS_MAX = 100


def host_name() -> str:
    """This machine's name, as far as it may stand in a topic."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", platform.node()).lstrip("-._")[:64] or "forewarn"


class Agent(Table):
    """The daemon itself."""

    node: str = Field(
        default_factory=host_name,
        pattern=f"^{NAME}$",
        description="This agent's level in its topics (default: the host name).",
    )
    state_dir: Path = Field(default=Path("/var/lib/forewarn"), description="Snapshots, alert table and outbox.")
    tick_every: Duration = Field(default=SECOND, ge=10 * MS, le=MINUTE, description="How often silence is looked for.")
    snapshot_every: Duration = Field(
        default=30 * SECOND, ge=SECOND, le=DAY, description="At most so much state history is lost by a crash."
    )
    snapshot_bytes_per_day_max: Size = Field(
        default=8 * 2**30,
        ge=2**20,
        description="Snapshots that would write more in a day, for they are large, are taken less often, which the log "
        "says: flash memory wears out. A crash then loses more state history. A journal that has grown by a third of "
        "`journal_max` brings one all the same.",
    )
    durability: Literal["snapshot", "journal"] = Field(
        default="snapshot",
        description="What a crash costs. `snapshot`: state history since the last snapshot, and devices say `gap`. "
        "`journal`: nothing; a message is acknowledged when it is on the disk, and the broker keeps a session.",
    )
    journal_max: Size = Field(
        default=2**28,
        ge=2**27,
        description="All files of the journal, at least 64 MiB for each broker. At a third of it a snapshot is taken "
        "early; when it is full, and no snapshot can be written, reading stops.",
    )
    status_every: Duration = Field(
        default=10 * SECOND, ge=100 * MS, le=HOUR, description="How often the status is published."
    )
    delay_max: Duration = Field(
        default=100 * MS,
        ge=0 * MS,
        le=SECOND,
        description="Messages may wait so long for others, for larger batches and less CPU; less where more of them "
        "come than a broker lets wait. 0s = not at all.",
    )
    devices_max: int = Field(
        default=10_000, ge=1, le=10_000_000, description="Devices kept; a new one beyond that is refused and counted."
    )
    batch_max: int = Field(default=512, ge=1, le=4096, description="Devices that are stepped together.")
    payload_bytes_max: Size = Field(
        default=2**16, ge=64, le=2**24, description="Larger payloads are dropped and counted."
    )
    rows_per_device_max: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Rows of one device that are taken at once, which is within 100 ms. The rest waits: at most 4,000 "
        "rows or 16 MiB of a device, 20,000 rows or 64 MiB of all (with a journal, `journal_max` / 8 where that is "
        "less). What is beyond is shed, counted, and a `gap`.",
    )
    receiver: Literal["auto", "paho"] = Field(
        default="auto",
        description="Who takes messages apart; `auto` is the fast path where it fits the installed paho-mqtt, "
        "`paho` is paho-mqtt alone: the same messages for some 30 times the CPU.",
    )
    device_id_bytes_max: int = Field(
        default=128, ge=1, le=1024, description="Longer device ids are refused and counted."
    )
    undecodable_max: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="A source of whose newest 1,000 messages a larger share cannot be read is named in status and log.",
    )
    stale_after: Duration = Field(default=10 * MINUTE, ge=SECOND, description="A device silent for so long is `stale`.")
    forget_after: Duration = Field(
        default=30 * DAY,
        ge=SECOND,
        description="A device silent for so long is forgotten; it starts as one never heard.",
    )

    @model_validator(mode="after")
    def _silence_is_stale_before_it_is_forgotten(self) -> Self:
        if self.forget_after <= self.stale_after:
            raise ValueError("forget_after must be longer than stale_after")
        if self.stale_after < self.tick_every:
            raise ValueError(
                "stale_after must not be shorter than tick_every, which is how often silence is looked for"
            )
        return self


class Model(Table):
    """A bundle, how much it may cost the operator, and the sources that it reads."""

    name: str = Field(
        default=MAIN_MODEL, pattern=f"^{NAME}$", description="Name in status and alerts; each model has another one."
    )
    bundle: Path = Field(description="The .fwb file.")
    budget: str = Field(
        default="",
        description='False alarms allowed: "1 per device per 30d", "1 per 1000 cycles", or for the fleet "6 per day" '
        '("" = the first of these, or the second where the bundle counts cycles).',
    )
    anomaly_budget: str = Field(
        default="",
        description='The same for alerts of the head `anomaly` alone ("" = `budget`, which is for each head).',
    )
    time_in_alarm_max: float = Field(
        default=TIME_IN_ALARM_MAX,
        gt=0,
        le=1,
        description="Share of the calibration time that false alarms may stand at the threshold; 1 = no bound.",
    )
    fleet_size: int = Field(
        default=0, ge=0, le=10_000_000, description="Devices that share a budget for the whole fleet; 0 = not given."
    )
    sources: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=(),
        max_length=SOURCES_MAX,
        description="Names of the sources that it reads ([] = all that have its channels).",
    )

    def budget_of(self, head: str, time_unit: Literal["s", "cycle"]) -> str:
        """What alerts of a head may cost, with a bundle that counts in `time_unit`."""
        own = self.anomaly_budget if head == "anomaly" else ""
        return own or self.budget or default_budget(time_unit)

    @field_validator("sources")
    @classmethod
    def _each_source_is_named_once(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        twice = next((name for name in sources if sources.count(name) > 1), "")
        if twice:
            raise ValueError(f"names {twice!r} twice")
        return sources


class Publish(Table):
    """What goes out."""

    prefix: str = Field(
        default="forewarn", max_length=256, description="First level or levels of all topics that forewarn writes."
    )
    scores: Literal["none", "all"] = Field(default="none", description="Whether every score is published.")
    outbox_max: int = Field(
        default=100_000,
        ge=100,
        le=10_000_000,
        description="Events kept while the broker is away; beyond it updates are dropped, then the oldest, counted. "
        "The newest event of an alert that stands is always kept.",
    )
    delivered_by: Literal["round_trip", "acknowledgement"] = Field(
        default="round_trip",
        description="What shows on MQTT 3.1.1 that alerts are passed on: a first one that comes back, or the broker's "
        "word, which it also gives for what its ACL throws away. MQTT 5 needs neither.",
    )

    @field_validator("prefix")
    @classmethod
    def _prefix_is_a_plain_topic(cls, prefix: str) -> str:
        if not all(level.isprintable() and level for level in prefix.split("/")) or any(c in prefix for c in "+#{}"):
            raise ValueError("must be one or more levels without wildcards, such as forewarn or plant/forewarn")
        if prefix.startswith("$"):
            raise ValueError("must not begin with $: such topics are the broker's own")
        return prefix


class Settings(BaseSettings):
    """The whole configuration: of its arguments alone, or by `read` of files and environment."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    agent: Agent = Field(default_factory=Agent, description="The daemon itself.")
    broker: Broker = Field(default=Broker(), description="The broker that messages come from.")
    output: Broker | None = Field(
        default=None,
        description="The broker that alerts go to, when it is another one; nothing is taken over from [broker].",
    )
    brokers: dict[Annotated[str, Field(pattern=f"^{NAME}$")], Broker] = Field(
        default={},
        max_length=BROKERS_MAX,
        description="More brokers that messages come from: the `broker` of a source names one. Nothing is taken over "
        "from [broker].",
    )
    model: tuple[Model, ...] = Field(
        default=(),
        max_length=MODELS_MAX,
        description="A bundle, how much it may cost the operator, and the sources that it reads; one table for each. "
        "Without any, `forewarn record` and `forewarn sample` can run.",
    )
    source: tuple[SourceSettings, ...] = Field(
        min_length=1,
        max_length=SOURCES_MAX,
        description="A topic pattern and how to read its messages; one table for each.",
    )
    publish: Publish = Field(default=Publish(), description="What goes out.")
    alerts: Alerts = Field(default=Alerts(), description="What becomes of an alert once it is raised.")
    commands: Commands = Field(default=Commands(), description="What the agent may be told to do over its broker.")

    @classmethod
    def read(cls, files: Gathered, environ: Mapping[str, str]) -> Self:
        """The settings of files and environment; adds to `files.problems`. Raises ValidationError."""
        where: dict[str, Any] = {"files": files, "environ": environ}
        return cls(**where)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Our own sources in place of the library's: nothing is looked up unasked, and every value has its place."""
        given = init_settings()
        if isinstance(given.get("files"), Gathered):
            return settings_sources(settings_cls, given["files"], given["environ"])
        return (init_settings,)

    def broker_of(self, name: str) -> Broker:
        """The broker that a source names, "" for [broker]."""
        return self.brokers[name] if name else self.broker

    @property
    def output_broker(self) -> Broker:
        """The broker that alerts go to."""
        return self.output or self.broker
