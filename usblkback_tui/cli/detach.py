# SPDX-License-Identifier: MIT
"""``detach``: ask the running engine to take a disk from a domain."""

from __future__ import annotations

import argparse

from usblkback_tui.cli.common import remote, settings_of
from usblkback_tui.cli.output import JSON_VERSION, one_line, print_json


def run(args: argparse.Namespace) -> int:
    """Detach; the engine's refusal is the command's."""
    settings = settings_of(args)
    wait = settings.engine.detach_seconds if args.wait_seconds is None else args.wait_seconds
    with remote(settings) as engine:
        engine.detach(args.domain, args.vdev, force=args.force, wait=wait)
    if args.json:
        print_json({"version": JSON_VERSION, "detached": {"domain": args.domain, "vdev": args.vdev}})
    else:
        print(one_line(f"{args.vdev} of {args.domain} is detached"))
    return 0
