# SPDX-License-Identifier: MIT
"""``python -m benchmarks embedded``, ``xen`` and ``ui``, from the root of the project."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import embedded, ui, xen
from benchmarks.errors import BenchmarkError
from benchmarks.jobs import JOBS
from benchmarks.xen import XEN_JOBS


def main(argv: list[str]) -> int:
    """0 done, 1 a target is missed, 2 it could not be measured."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--rounds", type=_positive, default=5, metavar="N", help="how often all is done (default: 5)")
    common.add_argument(
        "--patience",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds spent at most on waiting for a quiet machine and on repeating (default: 600)",
    )
    common.add_argument(
        "--keep", action="store_true", help="save where results are committed instead of in results/local"
    )
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="BENCHMARK")

    one = commands.add_parser("embedded", parents=[common], help="the data path and fio on one cached file")
    one.add_argument("--seconds", type=float, default=2.5, metavar="S", help="of each measurement (default: 2.5)")
    one.add_argument("--job", action="append", choices=[job.name for job in JOBS], help="only this one; repeatable")
    one.add_argument(
        "--dir", type=Path, default=Path("/var/tmp"), help="where the 1 GiB file is made and stays (default: /var/tmp)"
    )
    one.set_defaults(run=embedded.run)

    one = commands.add_parser(
        "xen", parents=[common], help="us, the kernel's blkback and QEMU's qdisk, with a real guest"
    )
    one.add_argument("--seconds", type=float, default=4.0, metavar="S", help="of each measurement (default: 4)")
    one.add_argument("--job", action="append", choices=[job.name for job in XEN_JOBS], help="only this one; repeatable")
    one.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="LINE",
        help="one more engine of ours with this line in [engine], such as 'poll_us = 50'; repeatable",
    )
    one.set_defaults(run=xen.run)

    one = commands.add_parser("ui", parents=[common], help="what the terminal UI costs")
    one.add_argument("--seconds", type=float, default=20.0, metavar="S", help="of each measurement (default: 20)")
    one.set_defaults(run=ui.run)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of rounds: use 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
