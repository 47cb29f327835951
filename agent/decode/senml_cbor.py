"""The codec `senml_cbor`: SenML as CBOR, RFC 8428 section 6; the records are those of `agent.decode.senml`."""

from collections.abc import Sequence

from agent.decode.cbor import ENCODING
from agent.decode.senml import Record, SenmlCodec, records_of
from agent.decode.unread import Unread


class SenmlCborCodec(SenmlCodec):
    """Decodes the payloads of one source."""

    def _records(self, payload: bytes) -> Sequence[Record]:
        try:
            tree = ENCODING.parse(payload)
        except ENCODING.errors as error:
            raise Unread("malformed", str(error)) from None
        return records_of(tree)
