"""Every reason for which a message is dropped or doubted, in one table: docs, log and status are made from it.

A reason is counted by source in the status, under `drops`. mypy holds that no other name is counted (`ReasonName`).
"""

from dataclasses import dataclass
from typing import Literal

ReasonName = Literal[
    "empty", "malformed", "wrong_type", "out_of_range", "too_large", "no_time", "impossible_time", "future",
    "no_channels", "late", "repeated", "too_fast", "device_id", "devices_max", "no_source", "not_finite", "retained",
    "duplicate_delivery", "redelivered", "topic", "shed", "rate", "request_not_sent", "broker_dropped",
    "session_lost", "protocol_error", "forgotten", "outbox_full", "score_not_sent", "packet_too_large", "no_birth",
    "births_max", "missing_channel", "extra_channel", "extra_topic", "clock_rebased", "time_zone", "clock_unsteady",
    "two_topics", "mixed_rows", "stuck", "unusual_normal", "stopped", "reorder_full", "wait_ended", "new_life",
    "bad_value", "too_many_readings", "unknown_intervention",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """What a reason means, and what a person can do about it: sentences in Markdown.

    is_used     the reading is used all the same; it was doubtful
    of_device   it says something of the device, whatever becomes of the reading that shows it
    is_planned  nothing is wrong, and it may go on for days
    """

    name: ReasonName
    means: str
    next_step: str
    is_used: bool = False
    of_device: bool = False
    is_planned: bool = False


_ALL = (
    Reason("empty", "The payload has no bytes.", "Is something clearing retained topics below the pattern?"),
    Reason(
        "malformed",
        "The codec cannot read it: it is cut off, or of another form. For `json`: not JSON, not UTF-8, or "
        "nested too deep.",
        "Look at `detail`, which names the place.",
    ),
    Reason(
        "wrong_type",
        "It is not what the codec reads, such as an array where the source says that an object stands.",
        "`detail` says what stands where. See `payload.readings` and `payload.form`; with the codec `text`, give the "
        "text in the channel's `words`. Of a command, `detail` says what it lacks.",
    ),
    Reason(
        "out_of_range",
        "A number is beyond what a double holds, such as 1e400. The channel is missing in this row.",
        "Mend the device; `detail` names the field.",
        is_used=True,
    ),
    Reason(
        "too_large",
        "It has more bytes than `agent.payload_bytes_max`.",
        "Raise the bound if such payloads are wanted.",
    ),
    Reason("no_time", "The time field is missing.", "Name the right field in `time`, or use unit `arrival`."),
    Reason(
        "impossible_time",
        "Its time is before 1970 or after 2116.",
        "Is `time.unit` right? Milliseconds that are read as seconds are far in the future; texts have the unit "
        "`iso8601`.",
    ),
    Reason(
        "future",
        "Its time is further ahead of its arrival than `future_max`.",
        "Set the device's clock. One that stays wrong is re-based after 20 readings.",
    ),
    Reason("no_channels", "No channel has a value.", "`detail` names the fields that are looked for; see `channels`."),
    Reason(
        "late",
        "Its time is before the newest row of the device.",
        "Is a backlog sent twice? Do two devices use one id?",
    ),
    Reason(
        "repeated",
        "It has the time of the device's newest row.",
        "Is it delivered twice, or is the time too coarse?",
    ),
    Reason(
        "too_fast",
        "It comes sooner after the row before it than rows ever came in training.",
        "Nothing: one row a cadence is stepped. Or train with rows that come as fast.",
    ),
    Reason(
        "device_id",
        "The device's id is empty, too long or holds control characters; or a pack of SenML names two machines where "
        "the topic names one.",
        "Mend the topic, or the payload's field that names the device. `detail` says what is wrong.",
    ),
    Reason(
        "devices_max",
        "The device is new, and `agent.devices_max` are known.",
        "Raise the bound; a device that was ever `ok` is not evicted for another one.",
    ),
    Reason(
        "no_source",
        'No source\'s pattern matches the topic; counted under the source `""`.',
        "Does a bridge send too much?",
    ),
    Reason(
        "not_finite",
        "The model's state left the finite numbers; the device starts again.",
        "Please report it with the bundle.",
    ),
    Reason("retained", "A retained message, which is old by definition.", "Do not retain telemetry."),
    Reason(
        "duplicate_delivery",
        "In `journal` mode: it was delivered again since its acknowledgement was lost, and was taken before.",
        "Nothing: no reading is lost, and none is taken twice.",
        is_planned=True,
    ),
    Reason(
        "redelivered",
        "In `snapshot` mode: it was delivered again, and says no time of its own by which to tell whether it was taken "
        "before.",
        "Send a time, or use the `journal` mode: this reading may be missing.",
    ),
    Reason("topic", "The topic is not UTF-8, or holds a wildcard or NUL.", "Mend the publisher."),
    Reason(
        "shed",
        "One device brought rows so much faster than `agent.rows_per_device_max` in 100 ms that too many waited; a "
        "`gap` stands where they are missing.",
        "`device_shed` in the log and `shed` in the status name it. Mend its cadence, or raise the bound where the "
        "cadence is right.",
    ),
    Reason(
        "rate",
        "The source brought more messages in a second than its `rate_max`; a `gap` stands where they are missing.",
        "Mend who sends so much: devices that send less than the others lose nothing. Or raise the bound.",
    ),
    Reason(
        "request_not_sent",
        "A message that asks devices for something, such as a birth of Sparkplug, could not go to the input's broker.",
        "Nothing, if the connection is back: it is asked again when it is needed. May the agent publish there?",
    ),
    Reason(
        "broker_dropped",
        'The broker says that it dropped messages, of any of its clients; counted under the source `""`.',
        "Raise its queue (mosquitto: `max_queued_messages`), or find the client that reads slowly.",
    ),
    Reason(
        "session_lost",
        "In `journal` mode, counted once a session: the broker does not have it any more, or it may have missed "
        "messages. The next row of each device that it brings says `gap`.",
        "`broker_session_lost` in the log says why. Let the broker write its sessions down (mosquitto: `persistence`) "
        "and keep them for long enough (`broker.session_expiry`).",
    ),
    Reason(
        "protocol_error",
        "A connection ended because the broker said what MQTT does not allow.",
        "`broker_lost` in the log says what.",
    ),
    Reason(
        "forgotten",
        "A device that was not heard for `agent.forget_after`, while the agent listened, gave its place back; so did "
        "one that was `stale` and never `ok`, where another one was refused for want of room (`devices_max`), and one "
        "that `forewarn state forget` names.",
        "Nothing; heard again it starts as one never heard.",
    ),
    Reason(
        "outbox_full",
        "Events were pushed out by `publish.outbox_max` while the broker was away; standing alerts stay. Counted under "
        'the source `""`, as are the next two.',
        "Bring the output broker back; `broker.output` in the status says why it is away.",
    ),
    Reason(
        "score_not_sent",
        "Scores, or answers to commands, were left out because the output broker is slow or away.",
        "Nothing, if they are not missed; alerts are never left out.",
    ),
    Reason(
        "packet_too_large",
        "A status or score is longer than the output broker takes. Events of that length wait as `parked`.",
        "Let the output broker take longer packets.",
    ),
    Reason(
        "no_birth",
        "Sparkplug: its node or device has sent no birth since the agent listens to it, or a message of its node is "
        "missing, which may have been one. The agent requests a rebirth.",
        "Nothing, at a start or after a loss. Else: may the agent publish on `spBv1.0/GROUP/NCMD/NODE`, and does the "
        "node answer there?",
    ),
    Reason(
        "births_max",
        "Sparkplug: a birth is of a node beyond 4,096, or brings more than 524,288 metrics with the births before it.",
        "Let each of several agents read some of the groups; known nodes are never evicted.",
    ),
    Reason(
        "missing_channel",
        "Some channels have no value.",
        "Mend the sensor; `detail` names the first.",
        is_used=True,
    ),
    Reason(
        "extra_channel",
        "No channel names one of the payload's fields.",
        "`detail` names it. Set `report_extra = false` when that is as it should be.",
        is_used=True,
    ),
    Reason(
        "extra_topic",
        "The topic names a channel, and no channel of the source reads it; of sources with one value a topic.",
        "`detail` names it. Set `report_extra = false` when that is as it should be.",
    ),
    Reason(
        "clock_rebased",
        "The clock was wrong by a steady amount, which is taken off from now on.",
        "Set the device's clock.",
        is_used=True,
    ),
    Reason(
        "time_zone",
        "The clock is off by steady whole quarter hours, as local times are. Counted once, before it is re-based.",
        "Name the zone in `time.zone`, or let the device send UTC.",
        is_used=True,
        of_device=True,
    ),
    Reason(
        "clock_unsteady",
        "The clock is ahead by ever another amount, so the row has its arrival time.",
        "Mend the clock, or leave `time` out.",
        is_used=True,
    ),
    Reason(
        "two_topics",
        "Rows of one device come from two topics that a wildcard lets in.",
        "If they are two machines, make `{device}` the level that tells them apart, or a source each.",
        is_used=True,
    ),
    Reason(
        "mixed_rows",
        "Late or repeated rows come between new ones again and again.",
        "Do two machines use one id? Is every row sent twice, by a bridge for one?",
        is_used=True,
        of_device=True,
    ),
    Reason(
        "stuck",
        "A channel stands still for far longer than in training, from this row on; the rows say so until it moves.",
        "`detail` names it. Is the sensor alive? Does the machine stand still?",
        is_used=True,
        of_device=True,
    ),
    Reason(
        "unusual_normal",
        "What a device showed while its own normal was learnt lies further from the training devices than the farthest "
        "1 % of these; from this row on it counts as normal.",
        "Was the machine faulty while it was learnt? Mend it and say so by an intervention: it is learnt anew.",
        is_used=True,
        of_device=True,
    ),
    Reason(
        "stopped",
        "The machine stands, or has run for less than `runs.after`, so the bundle leaves the row out, as its training "
        "did.",
        "Nothing, if the machine stands. Else look at the channel that `detail` names.",
        is_used=True,
        of_device=True,
        is_planned=True,
    ),
    Reason(
        "reorder_full",
        "More readings of the device wait for older ones than there is room for; the oldest of them went on early.",
        "Make the source's `lateness` shorter, or the rows fewer.",
        is_used=True,
    ),
    Reason(
        "wait_ended",
        "Readings waited for older ones when their device was forgotten or began another life.",
        "Nothing; where machines are repaired often, make the source's `lateness` shorter.",
    ),
    Reason(
        "new_life",
        "A counter of cycles started again, so this is a machine of unknown age; its alert ended with this cause.",
        "Nothing, after an overhaul or a replacement.",
        is_used=True,
    ),
    Reason(
        "bad_value",
        "A channel's value is no number by the source's rules, such as `nan`, `\"unavailable\"` or an object. The "
        "channel is missing in this row.",
        "`detail` names field and value. Give texts that stand for numbers, or for no value, in `words`; set "
        '`numbers_as_text` for `"55.1"`.',
        is_used=True,
    ),
    Reason(
        "too_many_readings",
        "A message brings more than 4,096 readings, more than 300 of one device, or fewer that have more than 65,536 "
        "channels in all; or more than 256 interventions.",
        "Send them in several messages.",
    ),
    Reason(
        "unknown_intervention",
        "The field of `[source.interventions]` holds a text that is none of its words, so nothing was done to the "
        "machine.",
        "`detail` has the text and the words that are known. Add it to `words`, or set `report_extra = false` when "
        "that is as it should be.",
        is_used=True,
    ),
)
REASONS: dict[ReasonName, Reason] = {reason.name: reason for reason in _ALL}
