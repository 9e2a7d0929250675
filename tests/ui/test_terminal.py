# SPDX-License-Identifier: MIT
"""The app in a real pseudo terminal, read by a terminal emulator."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Callable

import pyte

PROGRAM = """
from tests.ui.fake import FakeBackend, make_disk
from usblkback_tui.ui.app import UsblkApp
outcome = UsblkApp(FakeBackend(make_disk(3, "web")), refresh_hz=4, engine_stays=True).run()
print("left with", outcome.name)
"""


def read_until(fd: int, stream: pyte.ByteStream, shown: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not shown():
        assert time.monotonic() < deadline, "it never appeared"
        if select.select([fd], [], [], 0.2)[0]:
            try:
                stream.feed(os.read(fd, 65536))
            except OSError:
                return


def test_start_see_the_table_press_q() -> None:
    pid, fd = pty.fork()
    if pid == 0:
        env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
        os.execve(sys.executable, [sys.executable, "-c", PROGRAM], env)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    screen = pyte.Screen(80, 24)
    stream = pyte.ByteStream(screen)
    read_until(fd, stream, lambda: "Connected" in "\n".join(screen.display))
    assert screen.display[3].split() == ["DOM", "VDEV", "FRONT", "BACK", "r/s", "w/s", "MB/s", "p99", "HEALTH"]
    assert screen.display[4].startswith("▸3 web  xvda")
    assert "q quit" in screen.display[23]
    os.write(fd, b"q")
    read_until(fd, stream, lambda: "left with ENGINE_STAYS" in "\n".join(screen.display))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(fd)
