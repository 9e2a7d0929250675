# SPDX-License-Identifier: MIT
"""Recording what is seen to a file while one looks, and moving through a recording that is looked at."""

from __future__ import annotations

import time
from pathlib import Path

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.recording.recorder import Recorder
from usblkback_tui.engine.recording.replay import MAX_SPEED, MIN_SPEED, ReplayBackend
from usblkback_tui.ui import units

SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Recording:
    """At most one recorder."""

    def __init__(self, backend: Backend, folder: Path | None = None) -> None:
        self._backend = backend
        self._folder = folder
        self._recorder: Recorder | None = None

    @property
    def running(self) -> bool:
        """Something is recorded."""
        return self._recorder is not None and self._recorder.running

    @property
    def path(self) -> Path | None:
        """The file of the recorder that was started last."""
        return self._recorder.writer.path if self._recorder else None

    @property
    def elapsed(self) -> str:
        """How long it has run, for the header; empty when it does not."""
        if self._recorder is None or not self._recorder.running:
            return ""
        minutes, seconds = divmod(int(self._recorder.seconds), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"

    @property
    def failure(self) -> str:
        """Why it ended by itself; told once."""
        recorder = self._recorder
        if recorder is None or recorder.running or recorder.error is None:
            return ""
        self._recorder = None
        return str(recorder.error)

    def start(self) -> Path:
        """Begin a new file in the working directory.  Raises UserError."""
        folder = self._folder or Path.cwd()
        path = folder / f"usblkback-{time.strftime('%Y%m%d-%H%M%S')}.usbr"
        self._recorder = Recorder(self._backend, path)
        self._recorder.start()
        return path

    def stop(self) -> str:
        """End it and write what is left; what was written, in words.  May block for as long as the backend does."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return ""
        recorder.stop()
        writer = recorder.writer
        return f"{writer.path}: {writer.frames} frames, {units.count(writer.bytes)}B"


def player_text(player: ReplayBackend) -> str:
    """Where a recording is, for the header: ``▶ 00:01:05 of 01:00:00 2x``."""
    symbol = "▶" if player.playing else "⏸"
    speed = "" if player.speed == 1 else f" {player.speed:g}x"
    return f"{symbol} {_clock(player.place - player.first)} of {_clock(player.last - player.first)}{speed}"


def other_speed(speed: float, step: int) -> float:
    """The next faster or slower one."""
    nearest = min(range(len(SPEEDS)), key=lambda at: abs(SPEEDS[at] - speed))
    return min(max(SPEEDS[min(max(nearest + step, 0), len(SPEEDS) - 1)], MIN_SPEED), MAX_SPEED)


def _clock(seconds: float) -> str:
    whole = max(int(seconds), 0)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
