"""A number with its noun, in the singular where there is one."""


def plural(n: int, noun: str) -> str:
    """ "1 device", "20 devices"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
