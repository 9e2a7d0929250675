# SPDX-License-Identifier: MIT
"""``attach``: ask the running engine to give a domain an image."""

from __future__ import annotations

import argparse
import os

from usblkback_tui.cli.common import DISK_OPTIONS, remote, settings_of
from usblkback_tui.cli.output import JSON_VERSION, bytes_text, note, one_line, paint, print_json, table
from usblkback_tui.engine.api import AttachPlan, AttachRequest
from usblkback_tui.engine.config import disk_options
from usblkback_tui.engine.control.codec import encode
from usblkback_tui.engine.control.status import disk_json
from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.protocol.states import XenbusState


def run(args: argparse.Namespace) -> int:
    """Attach; 1 when ``--wait`` was given and the ends are not Connected by then."""
    image = args.image if "://" in args.image else os.path.abspath(args.image)
    names = (*DISK_OPTIONS, "sector_size", "device_type")
    options = disk_options({name: getattr(args, name) for name in names if hasattr(args, name)})
    request = AttachRequest(args.domain, image, args.vdev, args.mode, options)
    with remote(settings_of(args)) as engine:
        if args.dry_run:
            return _show(engine.plan(request), as_json=args.json)
        disk = engine.attach(request, wait=args.wait_seconds or 0.0)
    connected = disk.frontend_state == disk.backend_state == XenbusState.CONNECTED
    states = f"frontend {disk.frontend_state.word}, backend {disk.backend_state.word}"
    if args.json:
        print_json({"version": JSON_VERSION, "disk": disk_json(disk)})
    else:
        print(one_line(f"{disk.title} is attached to {disk.image} ({states})"))
    if args.wait_seconds is not None and not connected:
        note(f"{disk.title} is attached, but after {args.wait_seconds:g} s it is not connected ({states})")
        return 1
    return 0


def _show(plan: AttachPlan, *, as_json: bool) -> int:
    """What an attach would do."""
    if as_json:
        print_json({"version": JSON_VERSION, "plan": encode(plan)})
        return 0
    print(
        one_line(
            f"{plan.vdev} of {plan.domain} would be {plan.image}: {bytes_text(plan.sectors * 512)}, "
            f"{'writable' if plan.mode == 'w' else 'read-only'}{', direct I/O' if plan.direct else ''}"
        )
    )
    signs = {"error": "✖", "warning": "▲", "info": "·", "good": "✓"}
    rows = [(signs[one.severity.value], one.about, one.sentence) for one in plan.explained]
    for one, line in zip(plan.explained, table(rows), strict=True):
        print(line if one.severity is Severity.GOOD else paint(line, one.severity.value))
    print("writes to xenstore:")
    for line in table([("", path, value) for path, value in plan.writes]):
        print(line)
    print("then offers the frontend:")
    for line in table([("", key, value) for key, value in plan.offers]):
        print(line)
    return 0
