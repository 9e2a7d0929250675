# SPDX-License-Identifier: MIT
"""The terminal UI, on this machine's engine or on the one that already runs."""

from __future__ import annotations

import argparse
import signal
from contextlib import closing
from pathlib import Path

from usblkback_tui.cli.common import running_engine, settings_of, socket_of
from usblkback_tui.cli.output import UsageError, note
from usblkback_tui.cli.screen import exit_code, on_terminal, show
from usblkback_tui.cli.serve import follow, told_to_end
from usblkback_tui.cli.signals import Signals
from usblkback_tui.engine.control.claim import Claim
from usblkback_tui.engine.control.client import RemoteBackend
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
    return _own_engine(settings, path) if pid is None else _other_engine(settings, path, pid)


def _other_engine(settings: Settings, path: Path, pid: int) -> int:
    note(f"attaching to the engine with pid {pid} that answers at {path}")
    with closing(RemoteBackend(path)) as engine:
        ending = show(engine, settings, title=f"engine {pid}", engine_stays=True)
    if not ending.hung_up:
        note(f"the engine with pid {pid} goes on")
    return exit_code(ending)


def _own_engine(settings: Settings, path: Path) -> int:
    with Claim(path) as claim, Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)) as signals:
        engine = open_engine(settings, pause=lambda seconds: told_to_end(signals, seconds), report=note)
        if engine is None:
            return 0
        try:
            control = ControlServer(engine, path, claim=claim)
            control.start()
            try:
                ending = show(engine, settings, title="usblkback-tui")
                if ending.crashed:
                    note("the UI failed; the engine goes on without a screen and ends with SIGTERM or ctrl+c")
                if ending.crashed or ending.hung_up:
                    # Nobody said what is to become of the guests' disks, so they are served on.
                    follow(engine, signals, lambda event: None)
            finally:
                control.stop()
            if ending.at_once:
                # The rings stay as they are: taking disks from running guests is what the person did not choose.
                note("left at once: disks that were attached wait for the next engine")
                return 0
        except BaseException:
            engine.stop(force_after=settings.engine.detach_seconds)
            raise
        engine.stop(force_after=settings.engine.detach_seconds)
    return exit_code(ending)
