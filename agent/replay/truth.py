"""What became of recorded devices, read from CSV.

The header is `device,t_fail`, one row a device; an empty t_fail means that it did not fail.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from agent.errors import DataRefused
from agent.replay.csv_lines import T_MAX, open_csv, refuse

_FORM = "A row is device,t_fail; see docs/replay.md."


def read_truth(path: Path, devices: Sequence[str]) -> dict[str, float | None]:
    """When each of `devices` failed, None for one that did not.

    Raises DataRefused when one of them is not in the file or twice. Devices of the file that are not asked for are
    left out: one truth file may serve several recordings.
    """
    truth: dict[str, float | None] = {}
    with open_csv(path) as lines:
        header = next(lines, (1, []))[1]
        if header != ["device", "t_fail"]:
            refuse(path, 1, f"is {','.join(header)!r}, not 'device,t_fail'", _FORM)
        for line, cells in lines:
            if len(cells) != 2:
                refuse(path, line, f"has {len(cells)} cells, not 2", _FORM)
            device, t_fail = cells
            if device in truth:
                refuse(path, line, f"gives device {device!r} again", "Only one failure a device can be measured.")
            truth[device] = _failure_time(path, line, t_fail) if t_fail else None
    missing = [device for device in devices if device not in truth]
    if missing:
        named = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        what = f"says nothing of {len(missing)} recorded device(s): {named}"
        raise DataRefused(path, what, next_step="Give each a line; an empty t_fail means it did not fail.")
    return {device: truth[device] for device in devices}


def _failure_time(path: Path, line: int, text: str) -> float:
    try:
        t_fail = float(text)
    except ValueError:
        t_fail = math.nan
    if not 0 <= t_fail < T_MAX:
        refuse(path, line, f"column 't_fail' is {text[:40]!r}, not a time", _FORM)
    return t_fail
