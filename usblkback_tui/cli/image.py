# SPDX-License-Identifier: MIT
"""``image create`` and ``image info``: no engine needed."""

from __future__ import annotations

import argparse

from usblkback_tui.cli.output import JSON_VERSION, bytes_text, one_line, print_json, table
from usblkback_tui.engine.image import ImageInfo, create_image, image_info


def run_create(args: argparse.Namespace) -> int:
    """Create a raw image."""
    info = create_image(args.path, args.size, sparse=not args.preallocate)
    if args.json:
        print_json({"version": JSON_VERSION, "image": info.to_json()})
    else:
        print(one_line(f"{info.path} is created: {bytes_text(info.size)}, {info.sectors} sectors"))
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Describe an image; 0 also for one that cannot be attached, whose ``problem`` says so."""
    info = image_info(args.path)
    if args.json:
        print_json({"version": JSON_VERSION, "image": info.to_json()})
    else:
        for line in table(_rows(info)):
            print(line)
    return 0


def _rows(info: ImageInfo) -> list[tuple[str, str]]:
    partitions = info.partition_table
    if partitions == "gpt":
        partitions += f", for {info.table_sector_size}-byte sectors"
    used = [*(f"locked by pid {one.pid} ({one.command})" for one in info.holders), *info.users]
    return [
        ("path", info.path),
        ("format", f"{info.format} ({'block device' if info.kind == 'block' else 'file'})"),
        ("size", f"{bytes_text(info.size)} ({info.size} bytes, {info.sectors} sectors)"),
        ("allocated", bytes_text(info.allocated)),
        ("partitions", partitions),
        ("filesystem", info.filesystem or "none recognised"),
        ("in use", "; ".join(used) or "no"),
        ("writable", "yes" if info.writable else "no"),
        ("attachable", f"no: {info.problem}" if info.problem else "yes"),
    ]
