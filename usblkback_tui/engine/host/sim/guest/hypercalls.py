# SPDX-License-Identifier: MIT
"""What a guest can ask of the hypervisor and its store, and what it is told."""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import Any

from usblkback_tui.engine.host.sim import wire


class Refused(Exception):
    """The hypervisor or the store said no; ``errno`` as Xen would."""

    def __init__(self, number: int, why: str) -> None:
        self.errno = number
        super().__init__(why)


class Gone(Exception):
    """There is no hypervisor any more."""


class Hypercalls:
    """One thread's wire to the hypervisor.  Watch events and orders that arrive during a call wait in ``news``."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.news: deque[wire.Message] = deque()
        self._number = 0

    def fileno(self) -> int:
        return self.end.fileno()

    def receive(self) -> tuple[wire.Message, list[int]]:
        """The next message, waiting for it.  Raises Gone."""
        got = wire.receive(self.end)
        if got is None:
            raise Gone
        return got

    def _send(self, message: wire.Message) -> None:
        try:
            wire.send(self.end, message)
        except OSError as error:
            raise Gone from error

    def call(self, name: str, *args: Any) -> tuple[Any, list[int]]:
        """Raises Refused or Gone."""
        self._number += 1
        self._send({"n": self._number, "call": name, "args": args})
        while True:
            message, fds = self.receive()
            if message.get("n") != self._number:
                self.news.append(message)
            elif "errno" in message:
                raise Refused(message["errno"], message["why"])
            else:
                return message["value"], fds

    def read(self, path: str) -> str | None:
        """A key, None when it is missing.  Raises Refused."""
        try:
            value, _ = self.call("read", path)
        except Refused as refused:
            if refused.errno != errno.ENOENT:
                raise
            return None
        return str(value)

    def number(self, path: str, default: int = 0) -> int:
        """A decimal key; ``default`` when it is missing or no number."""
        text = self.read(path)
        return int(text) if text is not None and text.isdecimal() else default

    def list(self, path: str) -> tuple[str, ...]:
        """The children, none when the path is missing.  Raises Refused."""
        try:
            value, _ = self.call("list", path)
        except Refused as refused:
            if refused.errno != errno.ENOENT:
                raise
            return ()
        return tuple(value)

    def write(self, keys: dict[str, str]) -> None:
        """One transaction.  Raises Refused."""
        self.call("commit", keys)

    def remove(self, path: str) -> None:
        """A key and all below it; a missing one is fine.  Raises Refused."""
        self.call("remove", path)

    def watch(self, path: str, token: str) -> None:
        self.call("watch", path, token)

    def unwatch(self, path: str, token: str) -> None:
        self.call("unwatch", path, token)

    def alloc_unbound(self, remote: int) -> tuple[int, int, int]:
        """A new event channel for ``remote``: the port, the descriptor that wakes us, the one that notifies."""
        port, fds = self.call("alloc_unbound", remote)
        return int(port), fds[0], fds[1]

    def close_port(self, port: int) -> None:
        self.call("close_port", port)

    def notebook(self, devid: int) -> int:
        """The descriptor of the disk's notebook, which outlives us."""
        _, fds = self.call("notebook", devid)
        return fds[0]

    def log(self, line: str) -> None:
        """A line for the console."""
        self._send({"log": line})

    def done(self, order: int, result: Any = None, error: str = "") -> None:
        """Answer an order."""
        self._send({"done": order, "error": error} if error else {"done": order, "result": result})
