# SPDX-License-Identifier: MIT
"""The terminal UI, on this machine's engine or on the one that already runs."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from usblkback_tui.cli.common import running_engine, settings_of, socket_of
from usblkback_tui.cli.connect import show_engine
from usblkback_tui.cli.output import UsageError, note
from usblkback_tui.cli.screen import Ending, on_terminal, show
from usblkback_tui.cli.serve import follow, told_to_end
from usblkback_tui.cli.signals import Signals
from usblkback_tui.engine.control.claim import Claim
from usblkback_tui.engine.control.server import ControlServer
from usblkback_tui.engine.open import open_engine
from usblkback_tui.engine.settings import Settings


def run(args: argparse.Namespace) -> int:
    """Show the UI; the engine of this process ends with it, another one goes on."""
    if not on_terminal():
        raise UsageError(
            "the terminal UI needs a terminal", fix="run usblkback-tui serve for an engine without a screen"
        )
    settings = settings_of(args)
    path = socket_of(settings)
    pid = running_engine(path)
    return _own_engine(settings, path) if pid is None else show_engine(settings, path, pid)


def _own_engine(settings: Settings, path: Path) -> int:
    with Claim(path) as claim, Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)) as signals:
        engine = open_engine(settings, pause=lambda seconds: told_to_end(signals, seconds), report=note)
        if engine is None:
            return 0
        control = ControlServer(engine, path, claim=claim)

        def after(ending: Ending) -> int:
            if ending.crashed:
                note("the UI failed; the engine goes on without a screen and ends with SIGTERM or ctrl+c")
            if ending.crashed or ending.hung_up:
                # Nobody said what is to become of the guests' disks, so they are served on.
                follow(engine, signals, lambda event: None)
            control.stop()
            # Nobody can serve a ring after this process, so a guest that waits for one would wait for ever.
            engine.stop(force_after=0.0 if ending.at_once else settings.engine.detach_seconds)
            return 1 if ending.crashed else 0

        try:
            control.start()
            return show(engine, settings, title="usblkback-tui", after=after)
        except BaseException:
            control.stop()
            engine.stop(force_after=settings.engine.detach_seconds)
            raise
