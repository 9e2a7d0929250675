# SPDX-License-Identifier: MIT
"""``serve``: the engine without a screen, its events as lines, until SIGTERM, SIGINT or a client's ``stop``."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Callable

from usblkback_tui.cli.common import running_engine, settings_of, socket_of
from usblkback_tui.cli.output import UsageError, note
from usblkback_tui.cli.signals import Signals
from usblkback_tui.cli.watch import event_line
from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.control.claim import Claim
from usblkback_tui.engine.control.server import ControlServer
from usblkback_tui.engine.open import open_engine
from usblkback_tui.engine.snapshot import Event

_POLL_SECONDS = 0.25


def run(args: argparse.Namespace) -> int:
    """Serve until told to end, then detach everything."""
    settings = settings_of(args)
    path = socket_of(settings)
    if (pid := running_engine(path)) is not None:
        raise UsageError(
            f"an engine with pid {pid} already answers at {path}",
            fix="use that one, stop it, or choose another place with --socket",
            key="socket",
            value=path,
        )
    with Claim(path) as claim, Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)) as signals:
        engine = open_engine(settings, pause=lambda seconds: told_to_end(signals, seconds), report=note)
        if engine is None:
            return 0
        try:
            control = ControlServer(engine, path, claim=claim, on_stop=lambda: signals.send(signal.SIGTERM))
            control.start()
            try:
                note(f"serving, control socket {path}")
                follow(engine, signals, _print)
                note("detaching all disks")
            finally:
                control.stop()
        finally:
            engine.stop(force_after=settings.engine.detach_seconds)
    note("ended")
    return 0


def _print(event: Event) -> None:
    with contextlib.suppress(OSError):  # who read the log is gone; the guests' disks must not go with him
        print(event_line(event), flush=True)


def follow(backend: Backend, signals: Signals, say: Callable[[Event], None]) -> None:
    """Hand each event to ``say`` until a signal tells to end."""
    after = 0
    while True:
        for event in backend.events(after):
            say(event)
            after = event.seq
        if told_to_end(signals, _POLL_SECONDS):
            return


def told_to_end(signals: Signals, seconds: float) -> bool:
    """Wait for ``seconds``; True when a signal to end came.  A closed terminal is none: guests' disks depend on us."""
    number = signals.wait(seconds)
    if number == signal.SIGHUP:
        note("SIGHUP ignored: disks stay attached; end with SIGTERM")
        return False
    return number is not None
