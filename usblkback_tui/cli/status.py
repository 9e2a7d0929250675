# SPDX-License-Identifier: MIT
"""``status``: what is attached, as a table or as JSON."""

from __future__ import annotations

import argparse
from typing import Any

from usblkback_tui.cli.common import remote, settings_of
from usblkback_tui.cli.output import bytes_text, clock, count_text, one_line, paint, print_json, table

_HEAD = ("DOM", "DOMAIN", "VDEV", "MODE", "SIZE", "FRONT", "BACK", "QUEUES", "READS", "WRITES", "READ", "WRITTEN")
_TAIL = ("QD", "ERR", "IMAGE", "HEALTH")
_RIGHT = frozenset({0, 4, 7, 8, 9, 10, 11, 12, 13})


def run(args: argparse.Namespace) -> int:
    """Print the state of the running engine."""
    with remote(settings_of(args)) as engine:
        status = engine.status()
    if args.json:
        print_json(status)
        return 0
    about = status["engine"]
    print(
        f"engine {about['program']} with pid {about['pid']} on {about['host']}, since {clock(about['started'])[:19]}, "
        f"{len(status['disks'])} of {about['max_disks']} disks"
    )
    if status["disks"]:
        head, *lines = table([(*_HEAD, *_TAIL), *map(_row, status["disks"])], right=_RIGHT)
        print(paint(head, "bold"))
        for line, disk in zip(lines, status["disks"], strict=True):
            sentence = one_line(disk["health"]["sentence"])
            print(line.removesuffix(sentence) + paint(sentence, disk["health"]["severity"]))
    for one in status.get("pending", ()):
        print(one_line(f"waits for domain {one['domain']}: {one['vdev']} = {one['image']}"))
    return 0


def _row(disk: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(disk["domid"]),
        disk["domain"],
        disk["vdev"],
        disk["mode"],
        bytes_text(disk["sectors"] * 512),
        disk["frontend_state"],
        disk["backend_state"],
        str(disk["queues"]),
        count_text(disk["reads"]),
        count_text(disk["writes"]),
        bytes_text(disk["bytes_read"]),
        bytes_text(disk["bytes_written"]),
        str(disk["in_flight"]),
        str(disk["errors"]),
        disk["image"],
        disk["health"]["sentence"],
    )
