# SPDX-License-Identifier: MIT
"""``resize``: give a disk another size while its guest uses it."""

from __future__ import annotations

import argparse

from usblkback_tui.cli.common import remote, settings_of
from usblkback_tui.cli.output import JSON_VERSION, bytes_text, one_line, print_json
from usblkback_tui.engine.control.client import RemoteBackend
from usblkback_tui.engine.control.status import disk_json
from usblkback_tui.engine.image.sizes import parse_new_size
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.vdev import parse_vdev


def run(args: argparse.Namespace) -> int:
    """Resize; the engine's refusal is the command's."""
    with remote(settings_of(args)) as engine:
        sectors = parse_new_size(args.size, _disk(engine, args).sectors) if args.size else None
        disk = engine.resize(args.domain, args.vdev, sectors)
    if args.json:
        print_json({"version": JSON_VERSION, "disk": disk_json(disk)})
    else:
        print(one_line(f"{disk.title} has {bytes_text(disk.sectors * 512)} now ({disk.sectors} sectors)"))
    return 0


def _disk(engine: RemoteBackend, args: argparse.Namespace) -> DiskView:
    """The disk that is meant; what there is to grow by ``+SIZE``."""
    devid = parse_vdev(args.vdev).number
    for disk in engine.snapshot().disks:
        if args.domain in (disk.domain, str(disk.domid)) and disk.devid == devid:
            return disk
    raise UserError(
        f"{args.vdev} of {args.domain} is not attached", fix="see usblkback-tui status", key="vdev", value=args.vdev
    )
