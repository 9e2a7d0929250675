# SPDX-License-Identifier: MIT
"""``connect``: the terminal UI on an engine that runs already, and goes on when the UI ends."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from usblkback_tui.cli.common import settings_of
from usblkback_tui.cli.output import UsageError, note
from usblkback_tui.cli.screen import Ending, on_terminal, show
from usblkback_tui.engine.control.address import socket_path
from usblkback_tui.engine.control.client import RemoteBackend
from usblkback_tui.engine.settings import Settings


def run(args: argparse.Namespace) -> int:
    """Show the engine at the socket; 2 when there is none."""
    if not on_terminal():
        raise UsageError("the terminal UI needs a terminal", fix="use usblkback-tui status, top or watch without one")
    settings = settings_of(args)
    path = socket_path(args.place or settings.engine.socket)
    return show_engine(settings, path, RemoteBackend(path).engine_pid())


def show_engine(settings: Settings, path: Path, pid: int) -> int:
    """The UI on the engine that answers at ``path``."""
    note(f"attaching to the engine with pid {pid} that answers at {path}")

    def after(ending: Ending) -> int:
        note(f"the engine with pid {pid} goes on")
        return 1 if ending.crashed else 0

    with closing(RemoteBackend(path)) as engine:
        return show(engine, settings, title=f"engine {pid}", engine_stays=True, after=after)
