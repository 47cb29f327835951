"""The bundle file: NAME-VERSION.fwb, a stored zip of the manifest and the members that it vouches for.

Nothing in it is trusted: sizes are bounded before anything is read, every member's digest must be the manifest's, the
manifest must make sense, and the graphs are checked on their bytes. Nothing is executed or unpickled. What `read` would
refuse, `write` refuses to write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from agent import whole_file
from agent.bundle import golden, manifest_rules, onnx_graph, stored_zip, verify
from agent.bundle.golden import Golden
from agent.bundle.manifest import SCHEMA_VERSION, Manifest, Member
from agent.bundle.work import VERIFY_WORK_MAX
from agent.errors import BundleRefused, Unreadable

MIB = 2**20
FILE_BYTES_MAX = 64 * MIB
MANIFEST = "manifest.json"
MEMBER_BYTES_MAX = {
    MANIFEST: MIB,
    "model.onnx": 32 * MIB,
    "model.fp32.onnx": 48 * MIB,
    "golden.npz": 16 * MIB,
    "report.json": 4 * MIB,
    "MODEL_CARD.md": MIB,
}
AGAIN = "Copy the file again, in binary mode, or make it anew with `forewarn-train fit`."
LIGHTER = "Make the bundle with fewer golden rows, or with a smaller model."
ANEW = "Make the bundle anew with `forewarn-train fit`."


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been read and checked, but not yet run; `digest` is the SHA-256 of the manifest's bytes."""

    path: Path
    manifest: Manifest
    digest: str
    model: bytes
    model_fp32: bytes
    golden: Golden
    report: bytes
    card: str


class _Schema(msgspec.Struct):
    """The one field of a manifest that every version has."""

    schema_version: int


def read(path: Path) -> Bundle:
    """Read and check a bundle. Raises BundleRefused, whatever the bytes are."""
    try:
        if not path.is_file():
            raise BundleRefused(path, "there is no such file", next_step="Give the path of a .fwb file.")
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    return _checked(path, data)


def write(path: Path, manifest: Manifest, members: Mapping[str, bytes]) -> None:
    """Write a bundle in one step: there is the whole file or the one that was there before.

    `manifest.members` is filled in here; `members` are all files but the manifest. The same arguments give the same
    bytes. Raises BundleRefused when `read` would, or when the file cannot be written.
    """
    listed = {name: members[name] for name in MEMBER_BYTES_MAX if name in members}
    if len(listed) < len(members):
        raise BundleRefused(path, _unknown(members), next_step=ANEW)
    vouched = {name: Member(sha256(data).hexdigest(), len(data)) for name, data in listed.items()}
    written = msgspec.json.encode(msgspec.structs.replace(manifest, members=vouched), order="deterministic")
    data = stored_zip.pack({MANIFEST: msgspec.json.format(written) + b"\n", **listed})
    _checked(path, data)
    try:
        whole_file.write(path, data)
    except OSError as error:
        raise _unreadable(path, error) from None


def _checked(path: Path, data: bytes) -> Bundle:
    if len(data) > FILE_BYTES_MAX:
        raise BundleRefused(path, f"is larger than {FILE_BYTES_MAX // MIB} MiB", next_step="It is not a bundle.")
    try:
        members = stored_zip.unpack(data, members_max=len(MEMBER_BYTES_MAX))
    except stored_zip.NotStored as error:
        raise BundleRefused(path, f"is not a whole bundle: {error}", next_step=AGAIN) from None
    manifest = _manifest(path, members)
    _check_members(path, manifest, members)
    works = {}
    for name in ("model.onnx", "model.fp32.onnx"):
        try:
            works[name] = onnx_graph.check(members[name], manifest)
        except ValueError as error:
            raise BundleRefused(path, f"{name} is refused: {error}", next_step=ANEW) from None
    try:
        golden_rows = golden.unpack(members["golden.npz"], manifest)
    except ValueError as error:
        raise BundleRefused(path, f"golden.npz is refused: {error}", next_step=ANEW) from None
    work = verify.verify_work(works["model.onnx"], manifest, len(golden_rows.x))
    if work > VERIFY_WORK_MAX:
        what = f"to compute its {len(golden_rows.x)} golden rows again would take {work:.3g} multiply-adds"
        raise BundleRefused(path, f"{what}, at most {VERIFY_WORK_MAX:.3g}", next_step=LIGHTER)
    try:
        report = msgspec.json.decode(members["report.json"], type=msgspec.Raw)  # read through, but not laid out
        if not bytes(report).startswith(b"{"):
            raise msgspec.ValidationError("it is not an object")
        card = members["MODEL_CARD.md"].decode()
    except Unreadable as error:
        raise BundleRefused(path, f"report.json or MODEL_CARD.md is refused: {error}", next_step=ANEW) from None
    return Bundle(
        path=path,
        manifest=manifest,
        digest=sha256(members[MANIFEST]).hexdigest(),
        model=members["model.onnx"],
        model_fp32=members["model.fp32.onnx"],
        golden=golden_rows,
        report=members["report.json"],
        card=card,
    )


def _manifest(path: Path, members: Mapping[str, bytes]) -> Manifest:
    data = members.get(MANIFEST)
    if data is None:
        raise BundleRefused(path, f"has no {MANIFEST}: it is a zip, but not a bundle", next_step=AGAIN)
    if len(data) > MEMBER_BYTES_MAX[MANIFEST]:
        raise BundleRefused(path, _too_large(MANIFEST), next_step=ANEW)
    try:
        version = msgspec.json.decode(data, type=_Schema).schema_version
        if version > SCHEMA_VERSION:
            raise BundleRefused(
                path,
                f"has manifest schema {version}, this forewarn reads up to {SCHEMA_VERSION}",
                next_step="Install a newer forewarn, or make the bundle with `forewarn-train` of this version.",
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except Unreadable as error:
        raise BundleRefused(path, f"{MANIFEST} is refused: {error}", next_step=ANEW) from None
    faults = manifest_rules.faults(manifest)
    if faults:
        raise BundleRefused(path, f"{MANIFEST} makes no sense: {'; '.join(faults)}", next_step=ANEW)
    return manifest


def _check_members(path: Path, manifest: Manifest, members: Mapping[str, bytes]) -> None:
    """Every member there, known, within its bound and as the manifest says; and none promised that is not there."""
    if set(members) - set(MEMBER_BYTES_MAX):
        raise BundleRefused(path, _unknown(members), next_step=ANEW)
    held = set(members) - {MANIFEST}
    for name in MEMBER_BYTES_MAX:
        if name not in members:
            raise BundleRefused(path, f"has no {name}", next_step=ANEW)
        if len(members[name]) > MEMBER_BYTES_MAX[name]:
            raise BundleRefused(path, _too_large(name), next_step=ANEW)
    if set(manifest.members) != held:
        raise BundleRefused(
            path, f"its manifest vouches for {sorted(manifest.members)}, not {sorted(held)}", next_step=ANEW
        )
    for name, member in manifest.members.items():
        if member.size_bytes != len(members[name]) or member.sha256 != sha256(members[name]).hexdigest():
            raise BundleRefused(path, f"{name} is not the one that the manifest vouches for", next_step=AGAIN)


def _unknown(members: Mapping[str, bytes]) -> str:
    return f"holds {', '.join(sorted(set(members) - set(MEMBER_BYTES_MAX)))}, which this forewarn does not know"


def _too_large(name: str) -> str:
    return f"its {name} is larger than {MEMBER_BYTES_MAX[name] // MIB} MiB"


def _unreadable(path: Path, error: OSError) -> BundleRefused:
    reason = error.strerror or str(error)
    return BundleRefused(
        path, f"{reason[0].lower()}{reason[1:]}", next_step="Check the path and who may read and write it."
    )
