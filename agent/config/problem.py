"""What is wrong with a configuration, and where."""

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with the configuration; `line` 0 = not known, `key` "" = the file as a whole."""

    file: str
    line: int
    key: str
    what: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.what) if part)
