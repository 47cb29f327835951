"""A busy broker writes one message at a time: who has caught up with it does not chase the next one."""

import socket

from agent.receive.buffered_socket import LITTLE_BYTES, BufferedSocket


def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return BufferedSocket(ours, packet_bytes_max=1000), theirs


def test_a_read_that_brings_little_has_drained_the_socket():
    sock, peer = pair()
    peer.sendall(b"\xd0\x00")
    sock.fill()
    assert sock.is_drained


def test_a_read_that_brings_much_has_not():
    sock, peer = pair()
    peer.sendall(bytes(2 * LITTLE_BYTES))
    sock.fill()
    assert not sock.is_drained
