# SPDX-License-Identifier: MIT
"""``doctor``: everything an engine needs on this machine, whether it is there, and how to mend it."""

from __future__ import annotations

import argparse
import textwrap

from usblkback_tui.cli.common import running_engine, settings_of, socket_of
from usblkback_tui.cli.output import JSON_VERSION, one_line, paint, print_json
from usblkback_tui.engine.open import Check, offers, readiness


def run(args: argparse.Namespace) -> int:
    """0 when all that is needed is there."""
    settings = settings_of(args)
    path = socket_of(settings)
    pid = running_engine(path)
    seen = f"pid {pid} answers at {path}" if pid else f"none answers at {path}"
    checks = [
        *readiness(),
        offers(settings),
        Check("running engine", pid is not None, seen, "start one: usblkback-tui serve", needed=False),
    ]
    ready = all(check.ok for check in checks if check.needed)
    if args.json:
        print_json({"version": JSON_VERSION, "ready": ready, "checks": [_json(check) for check in checks]})
        return 0 if ready else 1
    width = max(len(check.name) for check in checks)
    for check in checks:
        _print(check, width)
    missing = sum(check.needed and not check.ok for check in checks)
    print(paint("ready", "good") if ready else paint(f"not ready: {missing} missing", "error"))
    return 0 if ready else 1


def _print(check: Check, width: int) -> None:
    sign, word, colour = (
        ("✓", "ok", "good") if check.ok else ("✗", "missing", "error") if check.needed else ("–", "absent", "warning")
    )
    print(f"{paint(f'{sign} {word:7}', colour)}  {check.name:{width}}  {one_line(check.seen)}")
    if check.fix and not check.ok:
        lines = textwrap.wrap(one_line(check.fix), 100, break_long_words=False, break_on_hyphens=False)
        for index, line in enumerate(lines):
            print(f"{'':11}{'':{width}}  {'→' if index == 0 else ' '} {line}")


def _json(check: Check) -> dict[str, object]:
    return {
        "name": check.name,
        "ok": check.ok,
        "needed": check.needed,
        "seen": check.seen,
        "fix": "" if check.ok else check.fix,
    }
