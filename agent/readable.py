"""What a person reads: spans of time, in the largest unit that leaves a number of at least 1, and texts of others."""

_UNITS = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))


def span(span_s: float) -> str:
    """ "12.5 ms", "42 s", "3.5 min", "2 h", "20,785 days"; without its sign."""
    size = abs(span_s)
    unit_s, unit = next((one for one in _UNITS if size >= 0.9995 * one[0]), (1.0, "s"))
    number = size / unit_s
    text = f"{number:,.0f}" if number >= 999.5 else f"{number:.3g}"
    return f"{text} {'day' if (text, unit) == ('1', 'days') else unit}"


def against_arrival(ahead_s: float) -> str:
    """ "its time is 2 h ahead of its arrival", "its time is 3.5 min behind its arrival"."""
    return f"its time is {span(ahead_s)} {'behind' if ahead_s < 0 else 'ahead of'} its arrival"


def why_late(span_s: float, counts_cycles: bool) -> str:
    """ "3.5 min before the device's newest row", "3 cycles before the device's newest row"."""
    size = f"{span_s:,g} cycle{'' if span_s == 1 else 's'}" if counts_cycles else span(span_s)
    return f"{size} before the device's newest row"


def printable(text: str, chars_max: int = 120) -> str:
    """A text of others with its control characters written out, so that no terminal obeys it."""
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape", "replace").decode() for char in text
    )
    return escaped if len(escaped) <= chars_max else f"{escaped[: chars_max - 3]}..."
