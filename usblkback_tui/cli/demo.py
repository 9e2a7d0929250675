# SPDX-License-Identifier: MIT
"""``demo``: guests simulated in this process and the load they make, with the terminal UI or without."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator

from usblkback_tui.cli import scenario
from usblkback_tui.cli.common import settings_of, socket_of
from usblkback_tui.cli.output import JSON_VERSION, bytes_text, count_text, note, print_json
from usblkback_tui.cli.screen import Ending, on_terminal, show
from usblkback_tui.cli.signals import Signals
from usblkback_tui.engine.control.server import ControlServer
from usblkback_tui.engine.demo import Demo, DemoResult, Totals
from usblkback_tui.engine.settings import Settings

_WITHOUT_TERMINAL = 10.0
"""Seconds to run when nobody is there to end it."""


def run(args: argparse.Namespace) -> int:
    """Run the demo; 1 when a guest saw an error or read back other bytes than it wrote."""
    if args.list:
        return scenario.run_list(args)
    settings = settings_of(args)
    if args.scenario:
        return scenario.run(args, settings)
    if args.headless or args.json or not on_terminal():
        seconds = args.seconds
        if seconds is None and (args.json or not sys.stdout.isatty()):
            seconds = _WITHOUT_TERMINAL
        return _headless(args, settings, seconds)
    return _on_screen(args, settings)


def _on_screen(args: argparse.Namespace, settings: Settings) -> int:
    """The screen comes while the guests boot, and shows how their disks connect."""
    demo = Demo(settings, frontend=args.frontend)

    def after(ending: Ending) -> int:
        demo.stop()
        return 1 if ending.crashed else 0

    try:
        demo.open()
        with _control(args, settings, demo):
            return show(demo.engine, settings, title="demo", seconds=args.seconds, after=after)
    finally:
        demo.stop()


def _headless(args: argparse.Namespace, settings: Settings, seconds: float | None) -> int:
    out = sys.stderr if args.json else sys.stdout
    with Signals((signal.SIGTERM, signal.SIGINT)) as signals:
        demo = Demo(settings, frontend=args.frontend)
        try:
            demo.start()
            started = time.monotonic()
            with _control(args, settings, demo):
                last, since, tick = demo.totals(), 0.0, 0
                while seconds is None or tick < seconds:
                    tick += 1
                    due = started + (tick if seconds is None else min(tick, seconds))
                    if signals.wait(max(due - time.monotonic(), 0.0)) is not None:
                        break
                    now = demo.totals()
                    elapsed = time.monotonic() - started
                    print(_line(elapsed, since, now, last), file=out, flush=True)
                    last, since = now, elapsed
                took = time.monotonic() - started
                result = demo.finish()
        finally:
            demo.stop()
    if args.json:
        print_json({"version": JSON_VERSION, "seconds": round(took, 3), **_json(result)})
    else:
        print(_summary(took, result), flush=True)
    for problem in result.problems:
        note(problem)
    return 0 if result.verified and not result.errors else 1


@contextlib.contextmanager
def _control(args: argparse.Namespace, settings: Settings, demo: Demo) -> Iterator[None]:
    """A control socket only where one was asked for: a demo must not stand in for the machine's own engine."""
    if not hasattr(args, "socket"):
        yield
        return
    main = threading.main_thread().ident or 0
    control = ControlServer(demo.engine, socket_of(settings), on_stop=lambda: signal.pthread_kill(main, signal.SIGTERM))
    control.start()
    try:
        yield
    finally:
        control.stop()


def _line(elapsed: float, since: float, now: Totals, last: Totals) -> str:
    """``since`` is when ``last`` was taken, in seconds like ``elapsed``."""
    span = max(elapsed - since, 1e-3)
    return (
        f"{elapsed:5.0f} s  {count_text((now.reads - last.reads) / span):>6} reads/s  "
        f"{count_text((now.writes - last.writes) / span):>6} writes/s  "
        f"{bytes_text((now.bytes_read - last.bytes_read) / span):>9}/s read  "
        f"{bytes_text((now.bytes_written - last.bytes_written) / span):>9}/s written  {now.errors} errors"
    )


def _json(result: DemoResult) -> dict[str, object]:
    return {
        "reads": result.reads,
        "writes": result.writes,
        "bytes_read": result.bytes_read,
        "bytes_written": result.bytes_written,
        "errors": result.errors,
        "verified": result.verified,
    }


def _summary(seconds: float, result: DemoResult) -> str:
    proof = "every block read back as it was written" if result.verified else "NOT VERIFIED"
    return (
        f"{seconds:.1f} s: {result.reads} reads ({bytes_text(result.bytes_read)}), {result.writes} writes "
        f"({bytes_text(result.bytes_written)}), {result.errors} errors, {proof}"
    )
