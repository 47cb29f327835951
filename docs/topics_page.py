"""The tables of fields in docs/topics.md, made from docs/schemas by `make docs`.

The schemas are the one place where a field is described. What stands between a pair of markers such as
`<!-- fields of status -->` and `<!-- end -->` is generated, all else on the page is written by hand.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
BLOCK = re.compile(r"(<!-- fields of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
FORMATS = {"date-time": "ISO 8601 time"}
Json = dict[str, Any]


def page(text: str) -> str:
    """The page `text` with its tables as the schemas have them."""
    return BLOCK.sub(lambda found: f"{found[1]}{table(schema(found[2]))}{found[3]}", text)


def schema(kind: str) -> Json:
    """The schema of a kind of message."""
    found: Json = json.loads((DOCS / "schemas" / f"{kind}.schema.json").read_text())
    return found


def table(whole: Json) -> str:
    """Every field of a schema, those of inner objects as `outer.inner`."""
    rows = "".join(f"| `{name}` | {kind} | {meaning} |\n" for name, kind, meaning in _rows(whole, whole, ""))
    return f"| field | value | meaning |\n|---|---|---|\n{rows}"


def _rows(whole: Json, part: Json, above: str) -> Iterator[tuple[str, str, str]]:
    laid_out: list[Json] = []  # what a `$ref` names is laid out once
    for name, field in part["properties"].items():
        whole_field = _resolved(whole, field)
        named = _resolved(whole, whole_field.get("additionalProperties") or {})
        if "properties" in named:
            yield f"{above}{name}", "object: name -> object", whole_field["description"]
            yield from _rows(whole, named, f"{above}{name}.NAME.")
            continue
        if "properties" in (items := whole_field.get("items", {})):
            absent = "" if name in part["required"] else "may be absent; "
            yield f"{above}{name}", f"{absent}array of objects", whole_field["description"]
            yield from _rows(whole, items, f"{above}{name}[].")
            continue
        if "properties" not in whole_field:
            absent = "" if name in part["required"] else "may be absent; "
            yield f"{above}{name}", absent + _value(whole, whole_field), whole_field.get("description", "")
            continue
        if "description" in whole_field:
            may_be = "" if name in part["required"] else ", may be absent"
            yield f"{above}{name}", f"object{may_be}", whole_field["description"]
        if field not in laid_out:
            yield from _rows(whole, whole_field, f"{above}{name}.")


def _resolved(whole: Json, field: Json) -> Json:
    """A field with what its `$ref` names put in; what the field itself says wins."""
    name = field.get("$ref", "").removeprefix("#/$defs/")
    return {**whole["$defs"][name], **field} if name else field


def _value(whole: Json, field: Json) -> str:
    """What a field may hold, in a few words."""
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "oneOf" in field:
        return " or ".join(_value(whole, one) for one in field["oneOf"])
    if "format" in field:
        return FORMATS[field["format"]]
    kind = field["type"]
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"array: {_value(whole, field['items'])}"
    if kind == "object":
        inner = field["additionalProperties"]
        return f"object: name -> {_value(whole, inner)}"
    low, high = field.get("minimum"), field.get("maximum")
    if high is not None:
        return f"{kind}, {low if low is not None else '> ' + str(field['exclusiveMinimum'])} to {high}"
    return str(kind)
