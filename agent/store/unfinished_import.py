"""A state directory that is half of one state and half of another: `forewarn state import` was ended on its way.

The file is there from before the first move until all of it lasts. No start can tell which half it would go on from.
"""

import os
from pathlib import Path

from agent.errors import StateRefused

IMPORTING = "importing"
UNFINISHED = "an import was ended before it came to its end"


def check_import(folder: Path) -> None:
    """Raises StateRefused where an import has not come to its end."""
    if os.path.exists(folder / IMPORTING):  # which is not there for who may not look
        next_step = (
            "Import the file again, with --replace. What was there before is in replaced-TIME: to have it back, remove "
            f"what that one has not, move all of it here, and remove {IMPORTING}."
        )
        raise StateRefused(folder, UNFINISHED, next_step=next_step)
