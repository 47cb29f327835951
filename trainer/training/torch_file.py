"""A file of what torch saves: replaced in one step, and read whole or refused.

It is a line with kind and schema, a line with the SHA-256 of the rest, and the rest.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from agent import whole_file
from agent.errors import DataRefused

Kind = Literal["checkpoint", "teacher"]
SCHEMA = 1
HEADER = re.compile(rb"forewarn (\w+) (\d+)\n([0-9a-f]{64})\n")


def write(path: Path, kind: Kind, content: Mapping[str, object]) -> None:
    """Replace the file in one step, so that a kill leaves the old one or the new one. Raises OSError."""
    saved = io.BytesIO()
    torch.save(dict(content), saved)
    header = f"forewarn {kind} {SCHEMA}\n{hashlib.sha256(saved.getbuffer()).hexdigest()}\n"
    whole_file.write(path, header.encode(), saved.getbuffer())


def read(path: Path, kind: Kind, otherwise: str) -> dict[str, Any]:
    """What was written, whole and unchanged: a flipped bit would else be trained on.

    Raises DataRefused with `otherwise` as what to do.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataRefused(path, f"cannot be read: {error.strerror}", next_step=otherwise) from error
    header = HEADER.match(content)
    if header is None or header[1].decode() != kind:
        raise DataRefused(path, f"is no {kind} of forewarn-train", next_step=otherwise)
    if int(header[2]) != SCHEMA:
        what = f"is of schema {int(header[2])}, this forewarn reads {SCHEMA}"
        raise DataRefused(path, what, next_step=f"Use the forewarn that wrote it. {otherwise}")
    saved = content[header.end() :]
    if hashlib.sha256(saved).hexdigest() != header[3].decode():
        raise DataRefused(path, "is torn or was changed: its checksum differs", next_step=otherwise)
    loaded: dict[str, Any] = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    return loaded
