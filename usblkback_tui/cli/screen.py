# SPDX-License-Identifier: MIT
"""Runs the terminal UI on a Backend, and what has to be done after it however it ends.

A UI whose terminal went away may hang for good, its main thread waiting for a writer that is dead.  So a signal to
leave starts a watchdog: when the UI is not gone in time, another thread does what is left to do and ends the process.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.settings import Settings

if TYPE_CHECKING:
    from usblkback_tui.ui.app import UsblkApp
    from usblkback_tui.ui.outcome import Outcome

_PATIENCE = 3.0
"""Seconds the UI may take to leave after a signal."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the UI is gone: what the person chose, or a signal, or neither when it crashed."""

    outcome: Outcome | None
    signal: int | None

    @property
    def crashed(self) -> bool:
        return self.outcome is None and self.signal is None

    @property
    def hung_up(self) -> bool:
        """The terminal went away, and nobody said what is to become of the disks."""
        return self.signal == signal.SIGHUP

    @property
    def at_once(self) -> bool:
        """The person would not wait for the guests."""
        return self.outcome is not None and self.outcome.name == "AT_ONCE"


After = Callable[[Ending], int]


def on_terminal() -> bool:
    """Whether the UI has a terminal: it reads keys from stdin and draws on stderr."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def show(
    backend: Backend,
    settings: Settings,
    *,
    title: str,
    after: After,
    engine_stays: bool = False,
    seconds: float | None = None,
) -> int:
    """Run the UI until the person quits, ``seconds`` pass (as if by SIGTERM) or a signal comes.  Main thread only.

    Then ``after`` puts everything in order, once, and gives the exit code.
    """
    from usblkback_tui.ui.app import UsblkApp
    from usblkback_tui.ui.state import load_state, state_path

    state = load_state(state_path(os.environ))
    state.read_only = settings.engine.read_only
    app = UsblkApp(
        backend,
        title=title,
        refresh_hz=settings.ui.refresh_hz,
        theme=settings.ui.theme,
        themes=settings.ui.themes,
        detach_seconds=settings.engine.detach_seconds,
        engine_stays=engine_stays,
        keys=dict(settings.keys),
        state=state,
        alerts=settings.alerts,
        # what is there by now stays; without it each full collection would go through it, which stops the keyboard
        when_shown=gc.freeze,
    )
    way_out = _WayOut(app, after)
    outcome = None
    with way_out.watching(seconds):
        try:
            outcome = app.run()
        except Exception:
            if not way_out.caught:  # without a terminal the UI may well fail while it leaves
                traceback.print_exc()
        way_out.take()
    ending = Ending(outcome, way_out.caught[0] if way_out.caught else None)
    code = after(ending)
    if ending.crashed or ending.hung_up:
        _end_process(code)
    return code


class _WayOut:
    """Leaves the UI on a signal, and does without it when it does not leave."""

    def __init__(self, app: UsblkApp, after: After) -> None:
        self.caught: list[int] = []
        self._app = app
        self._after = after
        self._taken = threading.Lock()
        self._before: dict[int, Any] = {}

    @contextlib.contextmanager
    def watching(self, seconds: float | None) -> Iterator[None]:
        """Signals lead here meanwhile, and the end of ``seconds``."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._leave)
        timer = threading.Timer(seconds or 0.0, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        if seconds is not None:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
            for restored, handler in self._before.items():
                signal.signal(restored, handler)

    def take(self) -> None:
        """The UI has left.  Returns unless the watchdog was quicker, which ends the process."""
        if not self._taken.acquire(blocking=False):
            threading.Event().wait()

    def _leave(self, number: int, frame: object) -> None:
        """Signal handler.  Python runs it in the UI's own thread; a loop that sleeps sees it with its next tick."""
        self.caught.append(number)
        if len(self.caught) > 1:  # the UI leaves already: this one is for what comes after it
            if callable(handler := self._before[number]):
                handler(number, frame)
            return
        if number == signal.SIGHUP:
            _forget_terminal()
        watchdog = threading.Timer(_PATIENCE, self._do_without)
        watchdog.daemon = True
        watchdog.start()
        self._app.exit()

    def _do_without(self) -> None:
        if not self._taken.acquire(blocking=False):
            return
        code = 1
        try:
            code = self._after(Ending(None, self.caught[0]))
        finally:
            _end_process(code)


def _forget_terminal() -> None:
    """From now on what is written to the terminal goes nowhere instead of failing, and no key is ever pressed."""
    null = os.open(os.devnull, os.O_WRONLY)
    silence, _open_for_ever = os.pipe()
    os.dup2(silence, 0)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)
    os.close(silence)


def _end_process(code: int) -> None:
    """End now: a UI that could not restore its terminal leaves threads behind that the interpreter would wait for."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
