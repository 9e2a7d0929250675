# SPDX-License-Identifier: MIT
"""Runs the terminal UI on a Backend and says how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.settings import Settings

if TYPE_CHECKING:
    from usblkback_tui.ui.app import UsblkApp
    from usblkback_tui.ui.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the UI is gone: what the person chose, or a signal, or neither when it crashed."""

    outcome: Outcome | None
    signal: int | None

    @property
    def crashed(self) -> bool:
        return self.outcome is None and self.signal is None

    @property
    def at_once(self) -> bool:
        """The person would not wait for the guests."""
        return self.outcome is not None and self.outcome.name == "AT_ONCE"

    @property
    def hung_up(self) -> bool:
        """The terminal went away, and nobody said what is to become of the disks."""
        return self.signal == signal.SIGHUP


def on_terminal() -> bool:
    """Whether the UI has a terminal: it reads keys from stdin and draws on stderr."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def show(
    backend: Backend, settings: Settings, *, title: str, engine_stays: bool = False, seconds: float | None = None
) -> Ending:
    """Run the UI until the person quits, ``seconds`` pass (as if by SIGTERM) or a signal comes.  Main thread only."""
    from usblkback_tui.ui.app import UsblkApp

    app = UsblkApp(
        backend,
        title=title,
        refresh_hz=settings.ui.refresh_hz,
        theme=settings.ui.theme,
        detach_seconds=settings.engine.detach_seconds,
        engine_stays=engine_stays,
    )
    caught: list[int] = []
    outcome = None
    with _leaving(app, caught, seconds):
        try:
            outcome = app.run()
        except Exception:
            if not caught:  # without a terminal the UI may well fail on its way out
                traceback.print_exc()
    if signal.SIGHUP in caught:
        _forget_terminal()
    return Ending(outcome, caught[0] if caught else None)


def exit_code(ending: Ending) -> int:
    """The program's exit code after the UI, when all else has been put in order.

    A UI that could not restore its terminal leaves a thread behind that waits for ever, and the interpreter waits for
    it; then this ends the process.
    """
    code = 1 if ending.crashed else 0
    if ending.crashed or ending.hung_up:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    return code


@contextlib.contextmanager
def _leaving(app: UsblkApp, caught: list[int], seconds: float | None) -> Iterator[None]:
    """Leave the UI in order on a signal or when the time is over.

    Its loop runs in this thread, where Python also runs signal handlers; a loop that sleeps takes the message up with
    the next tick.
    """

    def leave(number: int, _: object) -> None:
        caught.append(number)
        app.exit()

    def over() -> None:
        caught.append(signal.SIGTERM)
        with contextlib.suppress(Exception):  # it has ended by itself meanwhile
            app.call_from_thread(app.exit)

    timer = threading.Timer(seconds or 0.0, over)
    timer.daemon = True
    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _forget_terminal() -> None:
    """What is printed from now on goes nowhere instead of failing."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
