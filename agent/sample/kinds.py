"""What one payload is: its compression by the first bytes, then its codec by what it holds."""

import re
from typing import Final, NamedTuple

from agent.decode import cbor, json, msgpack
from agent.decode.expand import GZIP_MAGIC, ZSTD_MAGIC, Expander
from agent.decode.sparkplug_topic import NAMESPACE
from agent.decode.tree_codec import Encoding
from agent.decode.unread import Unread
from agent.readable import printable
from agent.sample.traffic import PAYLOAD_BYTES_MAX, Message

TEXT_CHARS_MAX: Final = 64  # of a value that a topic names
_SENML: Final = {"bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"}
_SENML_NUMBERS: Final = {-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs", 0: "n", 1: "u", 2: "v", 3: "vs",
                         4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd"}  # fmt: skip
_WORD: Final = r"(?:[^\s,=\\]|\\.)++"
_INFLUX: Final = re.compile(rf"{_WORD}(?:,{_WORD}={_WORD})*+ {_WORD}=\S")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_EXPANDER: Final = Expander("auto", PAYLOAD_BYTES_MAX)


class Seen(NamedTuple):
    """A message and what it is.

    codec    of `agent.decode.codec.CODECS`, "" where none reads it
    content  plain objects of a tree and of SenML; a text for `text` and `influx`
    why      no codec reads it
    """

    message: Message
    codec: str
    compression: str
    content: object
    why: str = ""


def seen(message: Message) -> Seen:
    """What a message is. Raises nothing, whatever is in it."""
    payload = message.payload
    compression = "gzip" if payload.startswith(GZIP_MAGIC) else "zstd" if payload.startswith(ZSTD_MAGIC) else "none"
    if message.topic.startswith(f"{NAMESPACE}/"):
        return Seen(message, "sparkplug", "none", payload)
    try:
        codec, content = _kind(_EXPANDER.expand(payload))
    except Unread as error:
        return Seen(message, "", compression, payload, str(error))
    return Seen(message, codec, compression, content)


def _kind(payload: bytes) -> tuple[str, object]:
    """Codec and content. Raises Unread."""
    if not payload:
        raise Unread("empty", "the payload has no bytes")
    try:
        text = payload.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return _binary(payload)
    if _CONTROL.search(text):
        return _binary(payload)
    if text[:1] in ("{", "["):
        tree = _parsed(json.ENCODING, payload)
        if tree is None:
            raise Unread("malformed", f"begins with {text[0]} and is no JSON")
        return ("senml" if _is_senml(tree) else "json"), tree
    if _INFLUX.match(text):
        return "influx", text
    if len(text) <= TEXT_CHARS_MAX and "\n" not in text:
        return ("json", text[1:-1]) if len(text) > 1 and text[0] == text[-1] == '"' else ("text", text)
    raise Unread("malformed", "a text that is neither JSON, nor line protocol, nor one value")


def _binary(payload: bytes) -> tuple[str, object]:
    """Of bytes that are no text: CBOR or MessagePack, where all of them are an object or an array."""
    tree = _parsed(cbor.ENCODING, payload)
    if _is_tree(tree) and _is_whole_cbor(payload):
        named = _with_labels(tree)
        return ("senml_cbor", named) if _is_senml(named) else ("cbor", tree)
    tree = _parsed(msgpack.ENCODING, payload)
    if _is_tree(tree):
        return "msgpack", tree
    floats = ' (rows of float32, perhaps: codec = "float32")' if len(payload) % 4 == 0 else ""
    raise Unread("malformed", f"bytes that are neither CBOR nor MessagePack{floats}")


def _parsed(encoding: Encoding, payload: bytes) -> object:
    try:
        return encoding.parse(payload)
    except encoding.errors:
        return None


def _is_whole_cbor(payload: bytes) -> bool:
    """CBOR of which one byte less is none: the codec reads no bytes after the first item, so a guess must not."""
    return _parsed(cbor.ENCODING, payload[:-1]) is None


def _is_tree(tree: object) -> bool:
    keys = tree.keys() if isinstance(tree, dict) else ()
    return isinstance(tree, dict | list) and bool(tree) and all(isinstance(key, str | int) for key in keys)


def _is_senml(tree: object) -> bool:
    """An array of records with labels of RFC 8428 alone, one of them with a name, one with a value."""
    if not isinstance(tree, list) or not tree or not all(isinstance(one, dict) for one in tree):
        return False
    labels = {label for one in tree for label in one}
    return labels <= _SENML and bool(labels & {"n", "bn"}) and bool(labels & {"v", "vb", "vs", "s", "bv"})


def _with_labels(tree: object) -> object:
    """Records of CBOR with the labels that JSON has."""
    if not isinstance(tree, list) or not all(isinstance(one, dict) for one in tree):
        return tree
    return [{_SENML_NUMBERS.get(key, key): value for key, value in one.items()} for one in tree]


def shown(message: Message, chars_max: int = 60) -> str:
    """A payload as an example: printable, and short."""
    try:
        text = message.payload[: 4 * chars_max].decode()
    except UnicodeDecodeError:
        text = message.payload[:chars_max].hex(" ")
    return printable(text, chars_max)
