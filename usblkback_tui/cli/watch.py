# SPDX-License-Identifier: MIT
"""``watch``: the running engine's events as they happen."""

from __future__ import annotations

import argparse

from usblkback_tui.cli.common import remote, settings_of, socket_of
from usblkback_tui.cli.output import clock, note, one_line, paint, print_json
from usblkback_tui.engine.control.status import event_json
from usblkback_tui.engine.snapshot import Event


def run(args: argparse.Namespace) -> int:
    """Print until interrupted; 1 when the engine ends."""
    settings = settings_of(args)
    with remote(settings) as engine:
        try:
            for event in engine.watch():
                if args.json:
                    print_json(event_json(event))
                else:
                    print(event_line(event), flush=True)
        except KeyboardInterrupt:
            return 0
    note(f"the engine at {socket_of(settings)} ended")
    return 1


def event_line(event: Event) -> str:
    """One event as people read it in a log."""
    severity = event.severity.value
    return f"{clock(event.time)}  {paint(f'{severity:7}', severity)}  {one_line(event.text)}"
