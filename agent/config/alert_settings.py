"""What becomes of alerts, and what people may tell the agent: tables of the configuration."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, field_validator, model_validator

from agent.config.quantity import Duration
from agent.config.table import DAY, MINUTE, SECOND, Table
from agent.judge import maintenance
from agent.judge.lifecycle import AlertRules
from agent.values.durations import parse_duration
from agent.values.times import time_zone
from agent.words import AlertAction


class Maintenance(Table):
    """A maintenance window: no alert is raised in it, and those that stand are hidden."""

    source: str = Field(description="Name of the [[source]] whose devices are maintained.")
    devices: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=(), max_length=100, description="Those that are ([] = all)."
    )
    begin: str = Field(description='"22:00" each day, "sat 22:00" each week, or "2026-12-01T08:00" once.')
    end: str = Field(description="When it is over, in the same form; it may be over midnight, or over the week's end.")
    zone: str = Field(default="", description='Time zone, as in `Europe/Berlin` ("" = UTC).')

    @field_validator("zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        time_zone(zone)
        return zone

    @model_validator(mode="after")
    def _it_begins_before_it_ends(self) -> Self:
        maintenance.check(self.begin, self.end)
        return self

    @property
    def window(self) -> maintenance.Window:
        """As the core wants it."""
        return maintenance.Window(self.source, self.devices, self.begin, self.end, self.zone)


class Alerts(Table):
    """What becomes of an alert once it is raised."""

    acknowledge: Literal["optional", "required"] = Field(
        default="optional",
        description="`required`: an alert whose risk is low again stands, as `returned_unacknowledged`, until somebody "
        "has acknowledged it.",
    )
    latch: bool = Field(
        default=False,
        description="Whether an alert whose risk is low again stands, as `latched`, until somebody resets it.",
    )
    severity_falls_after: str = Field(
        default="",
        description="Severity falls when every row has asked for less for so long, of event time; it rises at once "
        '("" = it never falls).',
    )
    chatter_raises: int = Field(
        default=0,
        ge=0,
        le=100,
        description="So many raises of one device and head within `chatter_window` are chatter: the newest ends only "
        "once its risk was low for that long. 0 = nothing is.",
    )
    chatter_window: Duration = Field(
        default=10 * MINUTE, ge=SECOND, description="See `chatter_raises`; event time, a cycle counts as a second."
    )
    flood_raises: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="So many alerts of one source raised within `flood_window` are a flood, one alert that names their "
        "devices: see [floods](alerts.md#floods). 0 = nothing is; a control room knows 10 in 10 minutes.",
    )
    flood_window: Duration = Field(default=10 * MINUTE, ge=SECOND, description="See `flood_raises`; time of arrival.")
    maintenance: Annotated[tuple[Maintenance, ...], Strict(False)] = Field(
        default=(), max_length=100, description="Maintenance windows: one [[alerts.maintenance]] table for each."
    )
    shelve_max: Duration = Field(default=30 * DAY, ge=MINUTE, description="Nobody can shelve an alert for longer.")

    @field_validator("severity_falls_after")
    @classmethod
    def _severity_falls_after_a_duration(cls, text: str) -> str:
        if text:
            parse_duration(text)
        return text

    @property
    def rules(self) -> AlertRules:
        """As the judge wants them."""
        falls_after = self.severity_falls_after
        return AlertRules(
            needs_acknowledgement=self.acknowledge == "required",
            latches=self.latch,
            severity_falls_after_s=parse_duration(falls_after).total_seconds() if falls_after else math.inf,
            chatter_raises=self.chatter_raises,
            chatter_window_s=self.chatter_window.total_seconds(),
            shelve_max_s=self.shelve_max.total_seconds(),
            flood_raises=self.flood_raises,
            flood_window_s=self.flood_window.total_seconds(),
            windows=tuple(one.window for one in self.maintenance),
        )


class Commands(Table):
    """What the agent may be told to do over its broker."""

    interventions: bool = Field(
        default=False,
        description="Whether it takes interventions from `PREFIX/NODE/cmd/intervention/SOURCE`, as `forewarn "
        "intervene` sends them. Whoever may publish there can end alerts: see [interventions](interventions.md).",
    )
    labels: bool = Field(
        default=False,
        description="Whether it takes labels of alerts from `PREFIX/NODE/cmd/label/SOURCE`, as `forewarn alerts label` "
        "sends them: see [labels](labels.md).",
    )
    alerts: Annotated[tuple[AlertAction, ...], Strict(False)] = Field(
        default=(),
        description="What may be done with alerts from `PREFIX/NODE/cmd/ACTION/SOURCE`, as `forewarn alerts` sends "
        "it: each action has a topic of its own, so that a broker's ACL can say who may: see [alerts](alerts.md).",
    )
