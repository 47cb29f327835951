"""Recordings of your own: rows of CSV or Parquet files, and what is known of their devices; docs/data.md.

A device may come in any number of stretches and files, as a historian exports it by time or by month; its own times
must rise in the order in which they are read. Rows in which no channel has a value are left out, as the agent drops
such a message. What would poison a training is refused with file, line and column, before anything is written.
"""

from pathlib import Path

from agent.table.lives.keys import TableKeys
from trainer.data.history import ChannelInfo, History
from trainer.data.section import Subject, required_folder
from trainer.data.table.read import read_table, read_test_table


class Table(TableKeys):
    """Recordings of your own, read from CSV or Parquet files; docs/data.md."""

    @property
    def lies_beside_config(self) -> bool:
        return True

    @property
    def subject(self) -> Subject:
        labels = ["each run to its failure"] if self.run_to_failure else []
        labels += [f"failures from {self.failures.file}"] if self.failures else []
        labels += [f"faults from {self.faults.file}"] if self.faults else []
        labels += [f"alerts labelled good in {self.alerts.file}"] if self.alerts else []
        labels += [f"{self.label.means}s in column {self.label.column}"] if self.label else []
        return Subject(
            failure="failures like those recorded,",
            row="at a time",
            source=f"Recordings from {', '.join(self.rows)}, {' and '.join(labels) or 'without labels'}",
            device="device",
            every="a cadence",
            first="first row",
            test_set="the official test set and " if self.tests else "",
            not_for="Other machines than those recorded, or failures of a kind that is not among the recorded ones.",
            reset="Devices repaired without their state being reset: a recorded life has no repair in it.",
        )

    def read(self, channels: tuple[str, ...], n_devices: int, folder: Path | None) -> list[History]:
        return read_table(self, channels, required_folder(folder))

    def channel_info(self, channels: tuple[str, ...]) -> tuple[ChannelInfo, ...]:
        return tuple(
            ChannelInfo(
                name=name,
                unit=of.unit,
                description=of.description,
                missing=tuple(one for one in of.missing if isinstance(one, float)),
                words=of.words,
                missing_words=tuple(one for one in of.missing if isinstance(one, str)),
                column="" if of.column == name else of.column,
                event=of.event,
            )
            for name, of in self.recorded_channels(channels).items()
        )

    def read_tests(self, channels: tuple[str, ...], folder: Path | None) -> dict[str, list[History]]:
        return read_test_table(self, channels, required_folder(folder)) if self.tests else {}
