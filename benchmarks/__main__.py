# SPDX-License-Identifier: MIT
"""``python -m benchmarks embedded``, ``scale``, ``cost``, ``xen``, ``ui``, ``soak-ui``: from the project's root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import cost, embedded, scale, soak_ui, ui, variants, xen
from benchmarks.errors import BenchmarkError
from benchmarks.jobs import Job
from benchmarks.peers import PEERS


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

    files = argparse.ArgumentParser(add_help=False)
    files.add_argument(
        "--dir", type=Path, default=Path("/var/tmp"), help="where 1 GiB of files is made and stays (default: /var/tmp)"
    )
    variants.add_options(files)

    one = commands.add_parser(
        "embedded", parents=[common, files], help="the data path, fio, qemu-storage-daemon and nbdkit on one file"
    )
    _measure_options(one, embedded.ALL_JOBS, seconds=2.5)
    one.add_argument(
        "--peer",
        action="append",
        choices=list(PEERS),
        help="only this one; repeatable (default: all but qsd-threads that are there or can be installed)",
    )
    one.set_defaults(run=embedded.run)

    one = commands.add_parser("scale", parents=[common, files], help="1, 8 and 64 disks, busy and idle")
    _measure_options(one, scale.ALL_JOBS, seconds=10)
    one.set_defaults(run=scale.run)

    one = commands.add_parser("cost", parents=[common, files], help="what larger rings and more queues cost")
    _measure_options(one, cost.ALL_JOBS, seconds=2.5)
    one.set_defaults(run=cost.run)

    one = commands.add_parser("xen", parents=[common], help="us, xen-blkback and qdisk as disks of one real guest")
    _measure_options(one, xen.XEN_JOBS, seconds=4)
    xen.options(one)
    one.set_defaults(run=xen.run)

    one = commands.add_parser("ui", parents=[common], help="what the terminal UI costs")
    one.add_argument("--seconds", type=float, default=20.0, metavar="S", help="of each measurement (default: 20)")
    one.set_defaults(run=ui.run)

    one = commands.add_parser("soak-ui", help="whether the terminal UI's memory stays what it is")
    one.add_argument("--minutes", type=float, default=60.0, metavar="N", help="how long (default: 60)")
    one.add_argument("--disks", type=_positive, default=8, metavar="N", help="busy disks under it (default: 8)")
    one.add_argument("--keep", action="store_true", help="save where results are committed instead of in results/local")
    one.set_defaults(run=soak_ui.run)
    return parser


def _measure_options(parser: argparse.ArgumentParser, jobs: Sequence[Job], *, seconds: float) -> None:
    parser.add_argument(
        "--seconds", type=float, default=seconds, metavar="S", help=f"of each measurement (default: {seconds:g})"
    )
    parser.add_argument("--job", action="append", choices=[job.name for job in jobs], help="only this one; repeatable")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number: use 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
