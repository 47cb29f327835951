"""What the words of `[source.interventions]` mean, for every codec whose payloads have a field that may hold one."""

from collections.abc import Iterator
from typing import Final

from agent.sources import Source
from agent.values.value import shown
from agent.words import InterventionKind

WORDS_SAID: Final = 5
NUMBER_MAX: Final = 2**53


class InterventionWords:
    """Of one source; `field` is "" where it has none."""

    def __init__(self, source: Source) -> None:
        rule = source.interventions
        self.field = rule.field if rule is not None else ""
        self._kinds: dict[str, InterventionKind] = dict(rule.words) if rule is not None else {}
        self._doubts_others = source.report_extra
        known = ", ".join(shown(word) for word in [*self._kinds][:WORDS_SAID])
        self._known = f"{known}, ..." if len(self._kinds) > WORDS_SAID else known

    def kind(self, value: object) -> InterventionKind | None:
        """What a value says was done, None for nothing. true is the word `true`, and 1 or 1.0 the word `1`."""
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, int | float) and abs(value) < NUMBER_MAX:
            value = f"{value:.16g}"
        return self._kinds.get(value) if isinstance(value, str) else None

    def doubt(self, value: object) -> str:
        """What is doubtful about a value that says nothing, "" for one that is no text: many fields rest at a number.

        Neither is anything where the source does not report what it does not read.
        """
        return self.no_word(value) if isinstance(value, str) and value and self._doubts_others else ""

    def no_word(self, found: object) -> str:
        """That a value says nothing."""
        return f"{shown(found)} is no word of `interventions`, which are {self._known}"


def word_problems(source: Source) -> Iterator[tuple[str, str]]:
    """What cannot be where a payload names its fields: (key, what is wrong), see `agent.decode.codec`."""
    if source.interventions is None:
        return
    if not source.interventions.field:
        yield "interventions.field", "must name the field whose text says it"
    elif source.interventions.field in source.fields:
        yield "interventions.field", f"{source.interventions.field!r} is read as a channel, too"
