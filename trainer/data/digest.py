"""What a bundle was made from, as one number."""

import hashlib
from collections.abc import Sequence

from trainer.data.history import History


def digest_of(histories: Sequence[History]) -> str:
    """SHA-256 over everything that was read of the histories, in order."""
    digest = hashlib.sha256()
    for history in histories:
        digest.update(history.device.encode() + b"\0" + history.t_s.tobytes() + history.x.tobytes())
        digest.update(repr(history.t_fail).encode())
    return digest.hexdigest()
