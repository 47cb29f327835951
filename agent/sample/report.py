"""What `forewarn sample` says: a table of what arrives, the configuration, and what it could not read. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.readable import printable
from agent.sample import toml
from agent.sample.groups import Unread
from agent.sample.guess import SURE, Guess, Guesses
from agent.sample.kinds import shown
from agent.sample.traffic import Traffic

TOPICS_SHOWN: Final = 3
UNREAD_SHOWN: Final = 20
_HEAD: Final = ("topic", "payload", "topics", "messages/s", "example")


def configuration(broker: Mapping[str, Any], guesses: Guesses, about: str) -> str:
    """A whole configuration. about: where and when it was made, for its first line"""
    lines = [
        f"# {about}",
        "# Look at each guess; `forewarn check` tells what would run. A [[model]] is still missing: without one,",
        "# `forewarn record` can run, and `forewarn run` cannot.",
        "",
        "[agent]",
        toml.line('state_dir = "state"', "in the folder of this file"),
        "",
        *toml.table("[broker]", broker, {}),
    ]
    for place, guess in enumerate(guesses.sources):
        others = (one for one in guesses.sources[:place] if one.trial.devices & guess.trial.devices)
        twin = next((str(one.settings["name"]) for one in others), "")
        lines += ["", *map(_comment, heard_of(guess, twin)), *toml.table("[[source]]", guess.settings, guess.why)]
    if guesses.unread:
        lines += ["", "# No source reads:", *map(_comment, unread_lines(guesses))]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return f"# {printable(text, 400)}"


def heard_of(guess: Guess, twin: str = "") -> Iterator[str]:
    """What a source was made of, and how much of it that reads. twin: name of a source before it with its devices"""
    few = "" if guess.n_live else ", all retained"
    n_messages = guess.n_live + guess.n_retained
    many = ", ".join(
        f"{n:,} {word}{'' if n == 1 else 's'}" for n, word in ((guess.n_topics, "topic"), (n_messages, "message"))
    )
    yield f"{many}{few}, as {printable(guess.example.message.topic)} {shown(guess.example.message, 80)}"
    trial = guess.trial
    reasons = ", ".join(f"{reason} {count}" for reason, count in trial.reasons.items())
    if trial.n_read < SURE * trial.n:
        yield f"Reads {trial.n_read} of {trial.n} messages of the sample only ({reasons}): look at it closely."
    elif reasons:
        yield f"Reads {trial.n_read} of {trial.n} messages of the sample, with {reasons}."
    if twin:
        yield f'Has devices of {twin}, too: joins = "{twin}" makes one machine of both, in place of device and align.'


def unread_lines(guesses: Guesses) -> Iterator[str]:
    """What no source reads, with the reason and an example."""
    for one in guesses.unread[:UNREAD_SHOWN]:
        yield f"{_listed(one)}: {printable(one.why, 200)}: {shown(one.example.message)}"
    if len(guesses.unread) > UNREAD_SHOWN:
        yield f"and {len(guesses.unread) - UNREAD_SHOWN} more kinds of messages"


def _listed(one: Unread) -> str:
    shown_topics = ", ".join(printable(topic) for topic in one.topics[:TOPICS_SHOWN])
    more = len(one.topics) - TOPICS_SHOWN
    return shown_topics + (f" and {more:,} more" if more > 0 else "")


def table(guesses: Guesses, span_s: float) -> str:
    """What arrives, a line a source."""
    rows = [_HEAD, *(_row(guess, span_s) for guess in guesses.sources)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def _row(guess: Guess, span_s: float) -> tuple[str, ...]:
    first, *more = guess.topics
    rate = f"{guess.n_live / span_s:.3g}" if guess.n_live else "retained"
    return (
        printable(first + (f" and {len(more)} more" if more else ""), 60),
        printable(payload_of(guess)),
        f"{guess.n_topics:,}",
        rate,
        shown(guess.example.message),
    )


def payload_of(guess: Guess) -> str:
    """The form of payloads in a few words."""
    settings = guess.settings
    form = settings.get("payload", {})
    parts = [settings["codec"], settings.get("compression", ""), form.get("form", ""), form.get("readings", "")]
    return " ".join(filter(None, parts))


def totals(traffic: Traffic, span_s: float) -> str:
    """One line on all that was heard."""
    retained = sum(one.n_retained for one in traffic.topics.values())
    text = f"{traffic.n_messages:,} messages on {len(traffic.topics):,} topics in {span_s:.3g} s, {retained:,} retained"
    if traffic.n_unlisted:
        text += f"; {traffic.n_unlisted:,} on further topics were only counted: --topic takes a part of them"
    return text


def as_object(traffic: Traffic, guesses: Guesses, span_s: float, text: str) -> dict[str, Any]:
    """All of it for a program; `configuration` is the text."""
    return {
        "messages": traffic.n_messages,
        "seconds": round(span_s, 3),
        "sources": [
            {
                "name": guess.settings["name"],
                "topic": guess.settings["topic"],
                "payload": payload_of(guess),
                "topics": guess.n_topics,
                "messages": guess.n_live,
                "retained": guess.n_retained,
                "sampled": guess.trial.n,
                "read": guess.trial.n_read,
                "devices": len(guess.trial.devices),
                "reasons": dict(guess.trial.reasons),
                "example": shown(guess.example.message, 200),
            }
            for guess in guesses.sources
        ],
        "unread": [
            {
                "topics": [*unread.topics[:TOPICS_SHOWN]],
                "n_topics": len(unread.topics),
                "messages": unread.n_messages,
                "why": unread.why,
                "example": shown(unread.example.message, 200),
            }
            for unread in guesses.unread
        ],
        "configuration": text,
    }
