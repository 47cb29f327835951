"""A busy broker writes one message at a time: a read takes what is there, and does not chase the next one."""

import socket

from agent.receive.buffered_socket import READ_BYTES, BufferedSocket


def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return BufferedSocket(ours, packet_bytes_max=1000), theirs


def test_a_read_that_took_less_than_it_asked_for_has_drained_the_socket():
    sock, peer = pair()
    peer.sendall(b"\xd0\x00")
    sock.fill()
    assert sock.is_drained


def test_a_read_that_was_filled_to_the_brim_has_not():
    sock, peer = pair()
    peer.setblocking(False)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * READ_BYTES)
    sent = peer.send(bytes(2 * READ_BYTES))
    assert sent >= READ_BYTES
    sock.fill()
    assert not sock.is_drained
