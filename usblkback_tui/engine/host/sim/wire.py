# SPDX-License-Identifier: MIT
"""Messages between a guest's process and the hypervisor: one JSON object per packet, file descriptors beside it.

The socket is SOCK_SEQPACKET, so a message is whole or not there, whenever its sender dies.

    guest to hypervisor   {"n": 7, "call": "read", "args": ["device/vbd"]}      a hypercall
                          {"done": 3, "result": {...}} or {"done": 3, "error": "..."}     an order's end
                          {"log": "..."}                                        a line of the guest's console
    hypervisor to guest   {"n": 7, "value": ...} or {"n": 7, "errno": 2, "why": "..."}
                          {"watch": [path, token]}
                          {"order": 3, "do": "start", "args": {...}}
                          {"boot": {...}}                 first of all, with the memory's descriptor
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

MAX_MESSAGE = 128 * 1024
MAX_FDS = 4

Message = dict[str, Any]


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new wire."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_MESSAGE)
    return ends


def send(end: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Raises BlockingIOError on a full non-blocking socket, OSError when the other end is gone."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if fds:
        socket.send_fds(end, [data], list(fds), socket.MSG_NOSIGNAL)
    else:
        end.send(data, socket.MSG_NOSIGNAL)


def receive(end: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message and its descriptors, which are the caller's; None when the other end is gone.

    What is no message (truncated, no JSON object) is also the end: nothing sensible can follow.
    """
    try:
        data, fds, flags, _ = socket.recv_fds(end, MAX_MESSAGE, MAX_FDS)
    except ConnectionError:
        return None
    try:
        message = json.loads(data) if data and not flags & socket.MSG_TRUNC else None
    except ValueError:
        message = None
    if not isinstance(message, dict):
        for fd in fds:
            os.close(fd)
        return None
    return message, fds
