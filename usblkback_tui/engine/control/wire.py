# SPDX-License-Identifier: MIT
"""Lines on the control socket: one JSON object each, UTF-8, ended by a newline, of a bounded length.

{"version": 1, "id": 7, "verb": "detach", "args": {"domain": "web", "vdev": "xvdb"}}
{"version": 1, "id": 7, "ok": true, "result": null}
{"version": 1, "id": 8, "ok": false, "error": {"message": "...", "problem": "...", "fix": "...", ...}}
"""

from __future__ import annotations

import json
import select
import socket
import struct
from typing import Any

VERSION = 1
"""Counts changes that an older reader would misunderstand; new members are none."""

MAX_REQUEST = 64 * 1024
"""Bytes in a line to the engine."""

MAX_REPLY = 64 * 1024 * 1024
"""Bytes in a line from the engine: a snapshot is some 10 KiB to a disk."""


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end of a connected Unix socket."""
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


class WireError(Exception):
    """The other end sent something that is no line of this language; ``str()`` says what."""


class Lines:
    """One connection's two directions.  Used by one thread at a time, except for :meth:`hang_up`."""

    def __init__(self, sock: socket.socket, limit: int) -> None:
        self._sock = sock
        self._limit = limit
        self._file = sock.makefile("rb")

    def read(self) -> dict[str, Any] | None:
        """The next object, or None at the end.  Raises WireError, OSError and TimeoutError."""
        line = self._file.readline(self._limit + 1)
        if not line:
            return None
        if len(line) > self._limit:
            raise WireError(f"a line is longer than {self._limit} bytes")
        if not line.endswith(b"\n"):
            raise WireError("the last line is cut off")
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            raise WireError("a line is no JSON") from None
        if not isinstance(data, dict):
            raise WireError("a line is no JSON object")
        return data

    def write(self, data: dict[str, Any]) -> None:
        """Send one object.  Raises OSError."""
        self._sock.sendall(json.dumps(data, separators=(",", ":")).encode() + b"\n")

    def settimeout(self, seconds: float | None) -> None:
        """How long one ``read`` or ``write`` may take; None is for ever."""
        self._sock.settimeout(seconds)

    def spoke(self, timeout: float) -> bool:
        """Wait ``timeout`` seconds at most; True when the other end sent something or hung up."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def hang_up(self) -> None:
        """End both directions, from any thread: a blocked ``read`` returns."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        """Give the descriptor back; idempotent."""
        self._file.close()
        self._sock.close()
