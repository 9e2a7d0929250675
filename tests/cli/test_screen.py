# SPDX-License-Identifier: MIT
"""The terminal UI as a process on a real pseudo-terminal: whose engine it shows and what becomes of it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest

from tests.engine.control.fake_backend import FakeBackend
from tests.engine.recording.made import frames, write
from usblkback_tui.engine.control.client import NoEngine, RemoteBackend
from usblkback_tui.engine.control.server import ControlServer


class Terminal:
    """A process on a terminal of 120x40, and what it shows."""

    def __init__(self, tmp_path: Path, *words: str) -> None:
        self.socket = tmp_path / "run" / "engine.sock"
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.engine_process", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color"},
            cwd=Path(__file__).parents[2],
        )
        os.close(slave)
        self.screen = pyte.Screen(120, 40)
        self.stream = pyte.ByteStream(self.screen)
        self.printed = b""
        """All it ever wrote."""

    def text(self) -> str:
        return "\n".join(self.screen.display)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.text()
            self.read(0.05)

    def read(self, timeout: float) -> None:
        ready, _, _ = select.select([self.master], [], [], timeout)
        if ready:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # all of it is read and nobody has the terminal open any more
                time.sleep(timeout)
                return
            self.printed += data
            self.stream.feed(data)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def ended(self) -> bool:
        return self.process.poll() is not None

    def after_the_screen(self) -> str:
        """What was printed when the alternate screen was left for good."""
        self.read(0.1)
        return self.printed.rpartition(b"\x1b[?1049l")[2].decode()

    def before_the_screen(self) -> str:
        return self.printed.partition(b"\x1b[?1049h")[0].decode()

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1


@contextmanager
def terminal(tmp_path: Path, *words: str) -> Iterator[Terminal]:
    one = Terminal(tmp_path, *words)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        if one.master >= 0:
            os.close(one.master)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_its_own_engine_answers_others_and_ends_by_signal(tmp_path: Path) -> None:
    with terminal(tmp_path) as screen:
        screen.wait_for(lambda: "xvdb" in screen.text())
        assert RemoteBackend(screen.socket).engine_pid() == screen.process.pid
        screen.process.send_signal(signal.SIGTERM)
        screen.wait_for(screen.ended)
        assert screen.process.returncode == 0
        assert "engine stopped, force after 10 s" in screen.after_the_screen()
        assert not screen.socket.exists()


def test_quitting_with_a_disk_attached_asks(tmp_path: Path) -> None:
    with terminal(tmp_path) as screen:
        screen.wait_for(lambda: "xvdb" in screen.text())
        screen.press("q")
        screen.wait_for(lambda: "Quit with 1 disk attached?" in screen.text())
        assert not screen.ended()


def test_a_closed_terminal_leaves_the_engine_running(tmp_path: Path) -> None:
    with terminal(tmp_path) as screen:
        screen.wait_for(lambda: "xvdb" in screen.text())
        screen.hang_up()
        time.sleep(4.0)
        assert not screen.ended()
        before = cpu_seconds(screen.process.pid)
        time.sleep(1.0)
        assert cpu_seconds(screen.process.pid) - before < 0.2, "what is left of the UI spins"
        assert RemoteBackend(screen.socket).next_vdev("g3") == "xvdc"
        screen.process.send_signal(signal.SIGHUP)
        screen.process.send_signal(signal.SIGTERM)
        assert screen.process.wait(90) == 0
        with pytest.raises(NoEngine):
            RemoteBackend(screen.socket).next_vdev("g3")


def test_a_ui_that_hangs_does_not_keep_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USBLK_TEST_STUCK", "1")
    with terminal(tmp_path) as screen:
        screen.wait_for(lambda: b"the UI is stuck" in screen.printed)
        screen.process.send_signal(signal.SIGTERM)
        screen.wait_for(screen.ended)
        screen.read(0.1)
        assert screen.process.returncode == 0
        assert b"engine stopped, force after 10 s" in screen.printed
        assert not screen.socket.exists()


def test_the_engine_that_runs_already_is_shown(tmp_path: Path, engine: ControlServer, backend: FakeBackend) -> None:
    with terminal(tmp_path) as screen:
        screen.wait_for(lambda: "xvdb" in screen.text() and f"engine {os.getpid()}" in screen.text())
        screen.press("q")
        screen.wait_for(screen.ended)
        assert screen.process.returncode == 0
        assert f"attaching to the engine with pid {os.getpid()} that answers at {engine.path}" in (
            screen.before_the_screen()
        )
        assert f"the engine with pid {os.getpid()} goes on" in screen.after_the_screen()
        assert "engine stopped" not in screen.after_the_screen()
    assert RemoteBackend(engine.path).snapshot().disks == backend.disks


def test_connect_shows_a_running_engine(tmp_path: Path, engine: ControlServer, backend: FakeBackend) -> None:
    with terminal(tmp_path, "connect", str(engine.path), "--socket", "/nowhere") as screen:
        screen.wait_for(lambda: "xvdb" in screen.text() and f"engine {os.getpid()}" in screen.text(), 60)
        screen.press("q")
        screen.wait_for(screen.ended, 60)
        assert screen.process.returncode == 0
        assert f"the engine with pid {os.getpid()} goes on" in screen.after_the_screen()


def test_connect_needs_a_running_engine(tmp_path: Path) -> None:
    with terminal(tmp_path, "connect") as screen:
        screen.wait_for(screen.ended, 60)
        screen.read(0.1)
        assert screen.process.returncode == 2
        assert b"no engine answers at" in screen.printed


def test_a_recording_on_the_same_screens(tmp_path: Path) -> None:
    write(tmp_path / "r", frames(30))
    with terminal(tmp_path, "replay", str(tmp_path / "r"), "--from", "25") as screen:
        screen.wait_for(lambda: "replay r" in screen.text() and "xvdb" in screen.text(), 60)
        screen.wait_for(lambda: "event 12" in screen.text(), 60)
        screen.press("q")
        screen.wait_for(screen.ended, 60)
        assert screen.process.returncode == 0


def test_a_recording_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("hello\n")
    with terminal(tmp_path, "replay", str(tmp_path / "r")) as screen:
        screen.wait_for(screen.ended, 60)
        screen.read(0.1)
        assert screen.process.returncode == 1
        assert b"is no recording that can be read" in screen.printed
        assert b"Traceback" not in screen.printed
