# SPDX-License-Identifier: MIT
"""Commands in dom0, any number at once, over one socket; inside/agent.py answers at the other end."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .inside.agent import Frames, frame

Listener = Callable[[str, bytes], None]


class LinkLost(Exception):
    """The other end went away: QEMU ended, or dom0 crashed."""


class CommandError(AssertionError):
    """A command ended with another exit code than 0, or did not end in time."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command printed (standard output and standard error together) and its exit code."""

    rc: int
    raw: bytes

    @property
    def out(self) -> str:
        return self.raw.decode(errors="replace")


class Command:
    """A command that runs in dom0."""

    def __init__(self, link: "Link", ident: int, text: str, listener: Listener | None) -> None:
        self.text = text
        self._link = link
        self.ident = ident
        self._listener = listener
        self._changed = threading.Condition()
        self._raw = bytearray()
        self._rc: int | None = None
        self._lost = False

    @property
    def out(self) -> str:
        """What it printed so far."""
        with self._changed:
            return self._raw.decode(errors="replace")

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        with self._changed:
            return self._rc

    def wait(self, timeout: float = 180, *, check: bool = False) -> Result:
        """Wait for the end; raise CommandError after `timeout` seconds, or with `check` if it failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._rc is not None or self._lost, timeout)
            result = Result(-1 if self._rc is None else self._rc, bytes(self._raw))
            ended, lost = self._rc is not None, self._lost
        if not ended:
            why = "the machine went away" if lost else f"no end after {timeout:g} s"
            raise CommandError(f"{why}: {self.text!r}, which printed:\n{result.out}")
        if check and result.rc:
            raise CommandError(f"exit code {result.rc}: {self.text!r}, which printed:\n{result.out}")
        return result

    def wait_for(self, found: Callable[[bytes | bytearray], bool], timeout: float) -> bytes:
        """Wait until `found` is true of the output so far, and return that output."""
        with self._changed:
            if not self._changed.wait_for(lambda: found(self._raw) or self._rc is not None or self._lost, timeout):
                raise CommandError(f"no answer after {timeout:g} s: {self.text!r}, which printed:\n{self.out}")
            if not found(self._raw):
                raise CommandError(f"ended before it answered: {self.text!r}, which printed:\n{self.out}")
            return bytes(self._raw)

    def write(self, data: bytes) -> None:
        """Type into its terminal."""
        self._link.send("in", self.ident, data)

    def forget_output(self) -> None:
        with self._changed:
            self._raw.clear()

    def resize(self, rows: int, columns: int) -> None:
        self._link.send("size", self.ident, f"{rows} {columns}".encode())

    def kill(self, signal: int = 15) -> None:
        """Send a signal to all its processes; wait() then returns minus the signal's number."""
        self._link.send("kill", self.ident, str(signal).encode())

    def take(self, verb: str, payload: bytes) -> None:
        """For the link: a frame came."""
        with self._changed:
            if verb == "out":
                self._raw += payload
            else:
                self._rc = int(payload)
            self._changed.notify_all()
        if self._listener:
            self._listener(verb, payload)

    def lose(self) -> None:
        """For the link: no more frames will come."""
        with self._changed:
            self._lost = True
            self._changed.notify_all()


class Link:
    """The socket to the agent and a thread that hands its frames to the commands."""

    def __init__(self, path: str, alive: Callable[[], bool], timeout: float) -> None:
        self._socket = _connect(path, alive, timeout)
        self._sending = threading.Lock()
        self._idents = itertools.count(1)
        self._commands: dict[int, Command] = {}
        self._ready = Command(self, 0, "boot", None)
        self._commands[0] = self._ready
        threading.Thread(target=self._receive, name="xen-lab-link", daemon=True).start()

    def wait_ready(self, timeout: float) -> None:
        """Wait for a booting agent's first word."""
        self._ready.wait(timeout)

    def start(self, verb: str, payload: bytes, text: str = "", listener: Listener | None = None) -> Command:
        """Send a request of agent.py that ends with an exit code."""
        command = Command(self, next(self._idents), text or verb, listener)
        self._commands[command.ident] = command
        self.send(verb, command.ident, payload)
        return command

    def send(self, verb: str, ident: int, payload: bytes) -> None:
        try:
            with self._sending:
                self._socket.sendall(frame(verb, ident, payload))
        except OSError as error:
            raise LinkLost(f"the machine is gone: {error}") from error

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _receive(self) -> None:
        frames = Frames()
        with contextlib.suppress(OSError):
            while data := self._socket.recv(1 << 18):
                for verb, ident, payload in frames.feed(data):
                    command = self._commands.get(ident)
                    if verb == "rc":
                        self._commands.pop(ident, None)
                    if command:
                        command.take(verb, payload)
        for command in list(self._commands.values()):
            command.lose()


def _connect(path: str, alive: Callable[[], bool], timeout: float) -> socket.socket:
    """Connect to a socket that QEMU is about to create."""
    end = time.monotonic() + timeout
    while True:
        attempt = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            attempt.connect(path)
            return attempt
        except OSError:
            attempt.close()
            if not alive():
                raise LinkLost("QEMU ended while it started") from None
            if time.monotonic() > end:
                raise LinkLost(f"QEMU did not open {path} within {timeout:g} s") from None
            time.sleep(0.01)
