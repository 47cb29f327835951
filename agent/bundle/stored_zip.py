"""A zip in which nothing is compressed and nothing is left to chance: the same members give the same bytes.

Any zip program can open it. Reading accepts only what `pack` gives, byte for byte, so there is nowhere to hide data,
no second directory for another reader to believe, and no flipped bit that goes unseen.
"""

import struct
import zlib
from collections.abc import Mapping

# signature, version 2.0, flags, method, time, date, crc, size, size, name length, extra length
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
# signature, made by (3 = Unix), version, flags, method, time, date, crc, size, size, name, extra and comment length,
# disk, internal and external attributes, offset
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_LOCAL_MARK, _CENTRAL_MARK, _END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_VERSION = 20
_MADE_BY = 3 << 8 | _VERSION
_DATE = 0 << 9 | 1 << 5 | 1  # 1980-01-01, the first day a zip can name
_MODE = (0o100644) << 16


class NotStored(ValueError):
    """Bytes that `pack` would not have written; the text says where."""


def pack(members: Mapping[str, bytes]) -> bytes:
    """The members in their order. Names are ASCII; sizes are below 4 GiB."""
    body, directory = bytearray(), bytearray()
    for name, data in members.items():
        encoded, crc, offset = name.encode("ascii"), zlib.crc32(data), len(body)
        size = len(data)
        body += _LOCAL.pack(_LOCAL_MARK, _VERSION, 0, 0, 0, _DATE, crc, size, size, len(encoded), 0) + encoded + data
        directory += _CENTRAL.pack(
            _CENTRAL_MARK, _MADE_BY, _VERSION, 0, 0, 0, _DATE, crc, size, size, len(encoded), 0, 0, 0, 0, _MODE, offset
        )
        directory += encoded
    end = _END.pack(_END_MARK, 0, 0, len(members), len(members), len(directory), len(body), 0)
    return bytes(body + directory + end)


def unpack(data: bytes, *, members_max: int) -> dict[str, bytes]:
    """The members by name, in order. Raises NotStored."""
    members: dict[str, bytes] = {}
    at = 0
    while data[at : at + 4] == _LOCAL_MARK:
        if len(data) - at < _LOCAL.size:
            raise NotStored(f"it ends inside the header of member {len(members)}: cut short?")
        _, _, flags, method, _, _, _, size, _, name_size, extra_size = _LOCAL.unpack_from(data, at)
        start = at + _LOCAL.size + name_size + extra_size
        name = data[at + _LOCAL.size : at + _LOCAL.size + name_size].decode("ascii", "backslashreplace")
        if not name or not name.isprintable() or name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise NotStored(f"the member name {name!r} is not allowed")
        if method or flags:
            raise NotStored(f"the member {name!r} is compressed, encrypted or streamed; members are stored as they are")
        if name in members:
            raise NotStored(f"the member {name!r} is there twice")
        if len(members) == members_max:
            raise NotStored(f"it has more than {members_max} members")
        at = start + size
        if at > len(data):
            raise NotStored(f"it ends inside the member {name!r}: cut short?")
        members[name] = data[start:at]
    if not members:
        raise NotStored("it does not begin like a zip with a member")
    if pack(members) != data:
        raise NotStored("it is damaged, or was packed by another program")
    return members
