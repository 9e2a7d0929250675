# SPDX-License-Identifier: MIT
"""The options of ``record`` and ``replay``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from usblkback_tui.cli.arguments import json_option, number, seconds, whole

Command = Callable[..., argparse.ArgumentParser]
"""(name, summary, examples) to the parser of a new command."""


def add_record(command: Command) -> None:
    """``record``."""
    record = command(
        "record",
        "record a running engine to a file until interrupted",
        "  usblkback-tui record monday.usbr\n"
        "  usblkback-tui record --seconds 60 --redact --redact-names for-the-report.usbr\n"
        "  usblkback-tui record --hz 0.2 --max-mb 64 flight.usbr",
    )
    record.add_argument("file", type=Path, metavar="FILE", help="the file to make; never overwrites")
    record.add_argument("--seconds", type=seconds, metavar="N", help="end after N seconds")
    record.add_argument(
        "--hz", type=number("rate", 0.1, 10), default=1.0, metavar="HZ", help="frames a second, 0.1 to 10 (default: 1)"
    )
    record.add_argument(
        "--max-mb",
        type=number("size", 1, 1_000_000),
        default=256.0,
        metavar="MB",
        help="keep the file below this size; its oldest quarter makes room (default: 256)",
    )
    record.add_argument(
        "--max-hours",
        type=number("time", 0.01, 10_000),
        default=24.0,
        metavar="HOURS",
        help="keep no more than this long, the same way (default: 24)",
    )
    record.add_argument(
        "--requests",
        type=whole("number of requests", 0, 1024),
        default=16,
        metavar="N",
        help="keep the last N requests of each disk in a frame, where the engine traces them (default: 16)",
    )
    _redaction(record)
    json_option(record, "print what was recorded as JSON (docs/json.md)")


def add_replay(command: Command) -> None:
    """``replay``."""
    replay = command(
        "replay",
        "show a recording in the terminal UI, or what is in it",
        "  usblkback-tui replay monday.usbr\n  usblkback-tui replay monday.usbr --info\n"
        "  usblkback-tui replay monday.usbr --export --from 60 --to 90 | jq .snapshot.disks\n"
        "  usblkback-tui replay monday.usbr --save for-the-report.usbr --redact",
    )
    replay.add_argument("file", type=Path, metavar="FILE", help="a recording")
    what = replay.add_mutually_exclusive_group()
    what.add_argument("--info", action="store_true", help="say what is in it instead of showing the UI")
    what.add_argument("--export", action="store_true", help="print each frame as a line of JSON (docs/json.md)")
    what.add_argument("--save", type=Path, metavar="OTHER", help="write a recording of the frames to another file")
    place = number("place", 0, 1e9)
    replay.add_argument("--from", dest="begin", type=place, metavar="S", help="begin S seconds after its recorder did")
    replay.add_argument("--to", dest="end", type=place, metavar="S", help="end there (with --export and --save)")
    replay.add_argument(
        "--speed", type=number("speed", 0.1, 100), default=1.0, metavar="X", help="play X times as fast (default: 1)"
    )
    _redaction(replay, " (with --export and --save)")
    json_option(replay, "say what is in it as JSON (docs/json.md)")


def _redaction(parser: argparse.ArgumentParser, when: str = "") -> None:
    parser.add_argument("--redact", action="store_true", help=f"take out where images lie{when}")
    parser.add_argument(
        "--redact-names", action="store_true", help=f"take out the names of domains too; implies --redact{when}"
    )
