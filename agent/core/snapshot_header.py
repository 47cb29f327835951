"""The header of a snapshot, a JSON object: what it was in each version that can be read, and today.

Columns go by name, so a header needs a new version only where what it says itself is another thing. What an older one
did not say yet has a default; where it said it in another form, that stays here as a struct that knows today's.
"""

from typing import Annotated

import msgspec

from agent.errors import SnapshotRefused, Unreadable

SCHEMA_VERSION = 7
_START_OVER = "The agent starts from the next older snapshot, or with every device as one never heard."
_WIDTH_MAX = 65_536
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Time = Annotated[int, msgspec.Meta(ge=-1, le=2**62)]  # -1 for none


class ColumnHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An array [n] of `dtype`, or [n, width] where width is not 0."""

    name: str
    dtype: str
    width: Annotated[int, msgspec.Meta(ge=0, le=_WIDTH_MAX)]


class GroupHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column group; `digest` is that of the bundle or rules it belongs to, "" for one of neither."""

    name: str
    digest: str
    columns: tuple[ColumnHeader, ...]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the arrays mean: who sits in which slot, and where in the input log this was; `*_from_ns` are by source.

    memories  name and bytes of what is no column, behind the arrays; version 6 had none at first
    numerics  of the bundle of each model: `exact` states are those of this kind of machine to the bit; version 6 did
              not name them
    """

    schema_version: int
    entry: _Count
    n_messages: _Count
    log_time_ns: _Time
    next_tick_ns: _Time
    new_from_ns: dict[str, _Time]
    complete_from_ns: dict[str, _Time]
    sources: tuple[str, ...]
    devices: tuple[str | None, ...]
    groups: tuple[GroupHeader, ...]
    memories: tuple[tuple[str, _Count], ...] = ()
    numerics: dict[str, str] = {}


class _Version5(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its times were those of all sources together; None from the next entry on."""

    schema_version: int
    entry: _Count
    n_messages: _Count
    log_time_ns: _Time
    next_tick_ns: _Time
    new_from_ns: _Time | None
    complete_from_ns: _Time | None
    sources: tuple[str, ...]
    devices: tuple[str | None, ...]
    groups: tuple[GroupHeader, ...]

    def next(self) -> Header:
        by_source = {
            name: {} if from_ns is None else dict.fromkeys(self.sources, from_ns)
            for name, from_ns in (("new_from_ns", self.new_from_ns), ("complete_from_ns", self.complete_from_ns))
        }
        return Header(**msgspec.structs.asdict(self) | by_source)


class _Version(msgspec.Struct, frozen=True):
    schema_version: int


_FORMS: dict[int, type[_Version5 | Header]] = {5: _Version5, 6: Header, SCHEMA_VERSION: Header}


def read(data: bytes) -> Header:
    """The header, as today's. Raises SnapshotRefused for what is none, and for one of a version that is not known."""
    try:
        version = msgspec.json.decode(data, type=_Version).schema_version
        if version not in _FORMS:
            raise refused(f"its schema is version {version}, this forewarn reads version {SCHEMA_VERSION}")
        form: _Version5 | Header = msgspec.json.decode(data, type=_FORMS[version])
    except Unreadable as error:
        raise refused(f"its header cannot be read ({error})") from None
    header = form if isinstance(form, Header) else form.next()
    return msgspec.structs.replace(header, schema_version=SCHEMA_VERSION)


def refused(what: str) -> SnapshotRefused:
    return SnapshotRefused("snapshot", what, next_step=_START_OVER)
