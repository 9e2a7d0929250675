# SPDX-License-Identifier: MIT
"""``attach``: ask the running engine to give a domain an image."""

from __future__ import annotations

import argparse
import os

from usblkback_tui.cli.common import remote, settings_of
from usblkback_tui.cli.output import JSON_VERSION, note, one_line, print_json
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.control.status import disk_json
from usblkback_tui.protocol.states import XenbusState


def run(args: argparse.Namespace) -> int:
    """Attach; 1 when ``--wait`` was given and the ends are not Connected by then."""
    image = args.image if "://" in args.image else os.path.abspath(args.image)
    with remote(settings_of(args)) as engine:
        disk = engine.attach(AttachRequest(args.domain, image, args.vdev, args.mode), wait=args.wait_seconds or 0.0)
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
