# SPDX-License-Identifier: MIT
"""A program on a real pseudo-terminal whose other end is read and thrown away, as fast as it comes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from types import TracebackType

from benchmarks.machine import ROOT

COLUMNS, ROWS = 160, 50
_ESCAPES = re.compile(
    rb"\x1b(?:\[[0-9:;<=>?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])"
)
_TAIL = 1 << 16


class Terminal:
    """Runs ``command`` in a terminal of 160x50 from construction on; ``awaited`` is a text to look for on it."""

    def __init__(self, command: Sequence[str], awaited: str = "") -> None:
        self._awaited = awaited.encode()
        self._seen = threading.Event()
        self._seen_at = 0.0
        self._text = b""
        self.received = 0
        """Bytes it has drawn."""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self._began = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self._thread = threading.Thread(target=self._drain, name="terminal", daemon=True)
        self._thread.start()

    def wait_text(self, timeout: float) -> float | None:
        """Seconds from the start to the awaited text; None when it has not come."""
        return self._seen_at - self._began if self._seen.wait(timeout) else None

    @property
    def tail(self) -> str:
        """The end of what it drew, without colours and moves: for error messages."""
        return " ".join(_ESCAPES.sub(b" ", self._text).decode(errors="replace").split())[-600:]

    def close(self, timeout: float = 10.0) -> int:
        """End the program with SIGTERM, or with SIGKILL when it does not obey; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float) -> int:
        """Until it ends by itself; after ``timeout`` seconds it is killed."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._thread.join(2)
        return self.process.returncode

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drain(self) -> None:
        try:
            while True:
                # woken once a frame, not once a write: a terminal must not cost the machine much
                select.select([self._master], [], [])
                got = os.read(self._master, 1 << 16)
                if not got:
                    return
                self.received += len(got)
                self._text = (self._text + got)[-_TAIL:]
                if self._awaited and not self._seen.is_set() and self._awaited in _ESCAPES.sub(b"", self._text):
                    self._seen_at = time.monotonic()
                    self._seen.set()
        except OSError:
            pass  # EIO: the last one who had the terminal open is gone
        finally:
            os.close(self._master)
