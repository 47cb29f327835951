"""A zip any program can open, and that reads back only when nothing at all has changed."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle.stored_zip import NotStored, pack, unpack

MEMBERS = {"a.json": b"{}", "b.bin": bytes(range(256)), "empty": b""}
NAMES = st.text("abcdefgh._-", min_size=1, max_size=8).filter(lambda name: name != "..")


@given(st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=5))
def test_what_was_packed_is_unpacked_in_its_order(members):
    assert list(unpack(pack(members), members_max=5).items()) == list(members.items())


def test_python_reads_it_with_a_fixed_date_and_mode():
    archive = zipfile.ZipFile(io.BytesIO(pack(MEMBERS)))
    assert archive.testzip() is None
    assert {info.filename: archive.read(info) for info in archive.infolist()} == MEMBERS
    assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}


def test_every_truncation_is_refused():
    data = pack(MEMBERS)
    for size in range(len(data)):
        with pytest.raises(NotStored):
            unpack(data[:size], members_max=5)


def test_every_flipped_bit_is_refused():
    data = pack(MEMBERS)
    for place in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(NotStored):
            unpack(bytes(flipped), members_max=5)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"PK\x03\x04" + tail))
def test_any_bytes_are_refused(data):
    with pytest.raises(NotStored):
        unpack(data, members_max=5)


def test_where_it_was_cut_is_said():
    data = pack(MEMBERS)
    for size, words in (
        (20, "inside the header of member 0"),
        (37, "inside the member 'a.json'"),
        (len(data) - 1, "damaged"),
    ):
        with pytest.raises(NotStored, match=words):
            unpack(data[:size], members_max=5)


def other_zip(method: int, *names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"content", compress_type=method)
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (other_zip(zipfile.ZIP_DEFLATED, "a"), "'a' is compressed"),
        (other_zip(zipfile.ZIP_STORED, "a"), "packed by another program"),
        (other_zip(zipfile.ZIP_STORED, "../a"), "'../a' is not allowed"),
        (other_zip(zipfile.ZIP_STORED, "/etc/passwd"), "'/etc/passwd' is not allowed"),
        (pack({"a": b"1", "b": b"2"}).replace(b"b", b"a"), "'a' is there twice"),
        (pack({str(index): b"" for index in range(6)}), "more than 5 members"),
        (pack(MEMBERS) + b"hidden", "damaged"),
        (b"", "does not begin like a zip"),
    ],
)  # fmt: skip
def test_other_zips_are_refused_with_the_reason(data, words):
    with pytest.raises(NotStored, match=words.replace(".", r"\.")):
        unpack(data, members_max=5)
