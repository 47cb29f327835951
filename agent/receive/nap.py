"""How long nobody need look at the input socket: a nap that ends before what can wait there is half full.

Fewer and larger turns are cheap, but what waits has bounds, and a broker drops what is beyond them and tells nobody:
- QoS 1: as many messages as the broker has under way to a client, 20 by mosquitto's defaults. MQTT 5 lets a client ask
  for more, but a broker may keep to its own bound and says nowhere which that is, so the nap does not count on more.
- QoS 0: the socket's receive buffer, and behind it what the broker queues, 1,000 messages by mosquitto's defaults.

A rate that was measured is always that of before. So the kernel is told how many bytes are half of what can wait
(SO_RCVLOWAT) and ends the nap when they are there: at a steady rate, at a changing one and in a burst alike. Bytes
stand for messages by the smallest frame that came lately.

A broker may let less be under way than mosquitto does, and says nowhere how much. Such a window is full before the nap
is due to end, and the stream would go no faster than one window a nap. But a broker that was held back by it sends more
as soon as it has the acknowledgements. So a nap after few messages begins with a look at whether it does. A look is a
second waking, and most streams are only slow: after some in vain one small read in many is looked behind. And a quick
stream answers a look as a broker does that was held back. But its window has room for more than came: a read that is
smaller than another one of the connection was no whole window, and after many answers a short nap tries whether more
comes.
"""

WINDOW = 20  # messages of QoS 1 under way
QUEUE = 1000  # messages of QoS 0 that a broker queues
ANSWER_S = 0.003  # within which a broker that was held back sends more; too short for one far away
LOOKS = 8  # in vain in a row, before
LOOK_EVERY = 32  # only each so many small reads is looked behind
TRY_EVERY = 64  # answers
TRY_S = 0.01
UNTOLD_NAP_S = 0.002  # the longest one where the kernel does not end it
_GROWTH = 2  # the smallest frame falls at once, and rises by this a read


def smallest_frame(before: int, of_read: int) -> int:
    """Bytes of the smallest frame that came lately, with that of the newest read; `before` is 0 at first."""
    return max(1, min(of_read, before * _GROWTH) if before else of_read)


def bytes_that_wake(frame_bytes: int, buffer_bytes: int, *, has_window: bool) -> int:
    """How many bytes in the socket end the nap: half of what can wait, at least 1.

    frame_bytes   of the smallest message that came lately, at least 1
    buffer_bytes  the socket's receive buffer
    has_window    a source is subscribed to at QoS 1
    """
    messages = WINDOW if has_window else QUEUE
    return max(1, min(messages * frame_bytes, buffer_bytes) // 2)
