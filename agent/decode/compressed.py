"""A codec for payloads that are compressed: each is expanded first, and one that cannot be is a fault of its own."""

import numpy as np
from msgspec.structs import replace

from agent.decode.codec import Decoder
from agent.decode.expand import Expander
from agent.decode.readings import Batch, Decoded, Fault
from agent.decode.unread import Unread


class Compressed:
    """Expands payloads and hands them to another codec."""

    def __init__(self, codec: Decoder, expander: Expander) -> None:
        self._codec = codec
        self._expander = expander

    def decode(self, batch: Batch) -> Decoded:
        payloads: list[bytes] = []
        kept: list[int] = []
        faults: list[Fault] = []
        for row, payload in enumerate(batch.payloads):
            try:
                payloads.append(self._expander.expand(payload))
                kept.append(row)
            except Unread as error:
                faults.append(Fault(row, error.reason, str(error)))
        if not faults:
            return self._codec.decode(Batch(payloads, batch.arrived_ns, batch.addresses))
        rows = np.array(kept, np.int64)
        decoded = self._codec.decode(Batch(payloads, batch.arrived_ns[rows], [batch.addresses[row] for row in kept]))
        return replace(
            decoded,
            row=rows if decoded.row is None else rows[decoded.row],
            faults=[*faults, *(fault._replace(row=kept[fault.row]) for fault in decoded.faults)],
            interventions=[one._replace(row=kept[one.row]) for one in decoded.interventions],
        )
