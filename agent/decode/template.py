"""Texts with names in braces, such as `{line}/{device}`, that are filled with what a topic or a payload says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """names of k values in the order in which they stand; texts, k + 1 of them, stand before, between and after."""

    names: tuple[str, ...]
    texts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Raises ValueError that says what is wrong with `text`."""
        *pairs, last = _BRACES.split(text)
        texts, names = (*pairs[::2], last), tuple(pairs[1::2])
        if any(brace in part for part in texts for brace in "{}"):
            raise ValueError(f"{text!r} has a brace without its partner: a name stands in braces, as in {{device}}")
        for name in names:
            if not NAME.fullmatch(name):
                raise ValueError(f"{{{name}}} is no name: letters, digits and `_` are, and no digit stands first")
        for before, between, after in zip(names, texts[1:-1], names[1:], strict=False):
            if not between or between[0].isalnum() or between[0] == "%":
                what = f"{{{before}}} and {{{after}}} need a character between them that is no letter, digit or `%`"
                raise ValueError(f"{what}, as in {{{before}}}/{{{after}}}: else two machines could get one name")
        return cls(names, texts)

    def composed(self, values: Sequence[str]) -> str:
        """The text with k values as they are."""
        return "".join((self.texts[0], *(one for pair in zip(values, self.texts[1:], strict=True) for one in pair)))

    def told_apart(self, values: Sequence[str]) -> str:
        """The same, but other values always give another text.

        Each value but the last has `%` and the character that ends it written as `%25` and the like. So `a/b` and `c`
        are not `a` and `b/c`: by `{line}/{device}` they are `a%2Fb/c` and `a/b/c`.
        """
        if len(values) < 2:
            return self.composed(values)
        ends = [text[0] for text in self.texts[1:-1]]
        return self.composed([*map(_escaped, values, ends), values[-1]])


def braced_names(text: str) -> tuple[str, ...]:
    """The names in braces in any text, such as a path of a payload."""
    return tuple(_BRACES.findall(text))


def _escaped(value: str, end: str) -> str:
    if end not in value and "%" not in value:
        return value
    code = "".join(f"%{byte:02X}" for byte in end.encode())
    return value.replace("%", "%25").replace(end, code)
