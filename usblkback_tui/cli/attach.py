# SPDX-License-Identifier: MIT
"""``attach``: ask the running engine to give a domain an image."""

from __future__ import annotations

import argparse
import os
import time

from usblkback_tui.cli.common import DISK_OPTIONS, remote, settings_of
from usblkback_tui.cli.output import JSON_VERSION, bytes_text, note, one_line, paint, print_json, table
from usblkback_tui.engine.api import AttachPlan, AttachRequest, Backend
from usblkback_tui.engine.config import disk_options
from usblkback_tui.engine.control.codec import encode
from usblkback_tui.engine.control.status import disk_json
from usblkback_tui.engine.snapshot import DiskView, Severity
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState
from usblkback_tui.protocol.vdev import parse_vdev

_LOOK_SECONDS = 0.25
"""How often it is looked whether the domain has appeared."""


def run(args: argparse.Namespace) -> int:
    """Attach; 1 when ``--wait`` was given and the ends are not Connected by then."""
    image = args.image if "://" in args.image else os.path.abspath(args.image)
    names = (*DISK_OPTIONS, "sector_size", "device_type")
    options = disk_options({name: getattr(args, name) for name in names if hasattr(args, name)})
    request = AttachRequest(args.domain, image, args.vdev, args.mode, options)
    waits = args.wait_seconds is not None
    with remote(settings_of(args)) as engine:
        if args.dry_run:
            return _show(engine.plan(request, later=waits), as_json=args.json)
        left = args.wait_seconds or 0.0
        if waits and not _running(engine, args.domain):
            left = _wait_for_domain(engine, request, left)
            disk = _connected(engine, request, left)
        else:
            disk = engine.attach(request, wait=left)
    connected = disk.frontend_state == disk.backend_state == XenbusState.CONNECTED
    states = f"frontend {disk.frontend_state.word}, backend {disk.backend_state.word}"
    if args.json:
        print_json({"version": JSON_VERSION, "disk": disk_json(disk)})
    else:
        print(one_line(f"{disk.title} is attached to {disk.image} ({states})"))
    if waits and not connected:
        note(f"{disk.title} is attached, but after {args.wait_seconds:g} s it is not connected ({states})")
        return 1
    return 0


def _running(engine: Backend, domain: str) -> bool:
    return any(domain in (one.name, str(one.domid)) for one in engine.snapshot().domains)


def _wait_for_domain(engine: Backend, request: AttachRequest, seconds: float) -> float:
    """Until the engine no longer waits for the domain; the seconds that are left.

    The engine keeps the request, so it goes on waiting when this program is interrupted.
    """
    began = time.monotonic()
    number = engine.attach_later(request, seconds).number
    note(f"waiting for domain {request.domain}; usblkback-tui detach {request.domain} {request.vdev} takes it back")
    while any(one.number == number for one in engine.snapshot().pending):
        time.sleep(_LOOK_SECONDS)
    return max(seconds - (time.monotonic() - began), 0.0)


def _connected(engine: Backend, request: AttachRequest, seconds: float) -> DiskView:
    """The disk that was waited for, Connected at both ends or as it is after ``seconds``.  Raises UserError."""
    deadline, devid = time.monotonic() + seconds, parse_vdev(request.vdev).number
    while True:
        found = [d for d in engine.snapshot().disks if (d.domain, d.devid) == (request.domain, devid)]
        if not found:
            raise UserError(
                f"{request.vdev} of {request.domain} is not attached: the domain did not appear, or the request was "
                "taken back",
                fix="the events of the terminal UI say which",
                key="domain",
                value=request.domain,
            )
        states = found[0].frontend_state, found[0].backend_state
        if states == (XenbusState.CONNECTED, XenbusState.CONNECTED) or time.monotonic() >= deadline:
            return found[0]
        time.sleep(_LOOK_SECONDS)


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
    if plan.writes:
        print("writes to xenstore:")
    else:
        print("as soon as that domain appears")
    for line in table([("", path, value) for path, value in plan.writes]):
        print(line)
    print("then offers the frontend:")
    for line in table([("", key, value) for key, value in plan.offers]):
        print(line)
    return 0
