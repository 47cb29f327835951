"""Errors and other events of a log as channels: how many came since the row before."""

import numpy as np

from agent.table.lives import logs
from agent.table.lives.recording import Recording, usual_step_ns
from agent.table.rows import refuse_row
from agent.words import Float32, Int64


def events_of(recording: Recording, of: logs.Events) -> dict[str, dict[str, Int64]]:
    """Times in ns, which rise, by channel and device: as live, events of one time count once. Raises DataRefused."""
    log = recording.log(of, [of.time], of.kind)
    times: dict[str, dict[str, list[int]]] = {channel: {} for channel in of.kinds}
    channels_of: dict[str, list[str]] = {}
    for channel, kinds in of.kinds.items():
        for kind in kinds:
            channels_of.setdefault(kind, []).append(channel)
    for line in log.lines:
        if line.t_ns[0] is None:
            refuse_row(log.file, line.row, f"column {of.time!r} is empty, not a time", "Each line needs a time.")
        for channel in (*channels_of.get(line.kind, ()), *channels_of.get(logs.ANY, ())):
            times[channel].setdefault(line.device, []).append(line.t_ns[0])
    for channel, of_channel in times.items():
        if not of_channel:
            known = ", ".join(sorted({line.kind for line in log.lines})[:10])
            recording.tell(f"{log.file.path}: no event of channel {channel!r}; its kinds are {known or 'none'}")
    return {
        channel: {device: np.unique(np.array(t, np.int64)) for device, t in of_channel.items()}
        for channel, of_channel in times.items()
    }


def counts(recording: Recording, device: str, t_ns: Int64, events_ns: Int64) -> Float32:
    """float32 [T]: events after the row before and up to each row; before the first one for a usual step."""
    first_ns = int(t_ns[0]) - usual_step_ns(recording, device)
    row = np.searchsorted(t_ns, events_ns[events_ns > first_ns], side="left")
    return np.bincount(row[row < len(t_ns)], minlength=len(t_ns)).astype(np.float32)
