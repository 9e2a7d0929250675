# SPDX-License-Identifier: MIT
"""``xen``: fio in a real Linux guest, on a disk of ours, two of the kernel's blkback and one of QEMU."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from benchmarks import report
from benchmarks.conclude import Section, conclude
from benchmarks.jobs import JOBS
from benchmarks.reading import Pace
from benchmarks.rounds import Patience, run_rounds
from benchmarks.stats import Target
from benchmarks.variants import OURS, add_options, variants
from benchmarks.xen_fio import GuestFio
from benchmarks.xen_machine import IMAGE_MIB, LOOP, PEERS, QDISK, XenMachine, disks, running

XEN_JOBS = JOBS
SECTIONS = (Section("", XEN_JOBS, LOOP),)
TARGETS = (
    *(Target(job.name, OURS, LOOP, 1.0) for job in XEN_JOBS),
    *(Target(job.name, OURS, LOOP, most=1.1, value="p50_us") for job in XEN_JOBS if job.depth == 1),
    *(Target(job.name, OURS, QDISK, 1.5) for job in XEN_JOBS if job.block_bytes == 4096),
    *(Target(job.name, OURS, QDISK, 3.0) for job in XEN_JOBS if job.block_bytes == 1 << 20),
)


def options(parser: argparse.ArgumentParser) -> None:
    """Those of this benchmark alone."""
    add_options(parser)
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this one; repeatable (default: all)")
    parser.add_argument(
        "--guest",
        default="",
        metavar="OPTIONS",
        help="for the guest's kernel, such as 'xen_blkfront.max_indirect_segments=256'",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print, save; 1 when a target is missed.  Raises BenchmarkError."""
    jobs = [job for job in XEN_JOBS if not args.job or job.name in args.job]
    pace = Pace(args.seconds, ramp=1.0)
    ours = variants(args)
    with running(disks(ours, args.peer or PEERS), args.guest) as machine:
        contenders = [GuestFio(disk) for disk in machine.disks]
        for job in jobs:  # the emulator translates code when it first runs
            for contender in contenders:
                contender.measure(job, machine, Pace(1.0, 0.0))
        measured = run_rounds(
            [(job, contenders) for job in jobs],
            machine,
            args.rounds,
            pace,
            Patience(args.patience),
            lambda one: print(report.line(one), flush=True),
        )
        content = {
            "fio": machine.guest.run("fio --version").out.strip(),
            "dom0": _dom0(machine),
            "guest_options": args.guest,
            "image_mib": IMAGE_MIB,
            "ours": {one.name: one.lines for one in ours},
            "disks": {contender.name: contender.negotiated(machine) for contender in contenders},
            "pace": asdict(pace),
        }
    return conclude("xen", measured, SECTIONS, TARGETS, content, keep=args.keep)


def _dom0(machine: XenMachine) -> dict[str, str]:
    """What runs in the emulated machine."""
    commands = {
        "xen": "xl info xen_version",
        "kernel": "uname -r",
        "qemu": "/usr/libexec/xen-qemu-system-i386 --version | head -n 1",
    }
    return {name: machine.dom0.run(command, check=False).out.strip() for name, command in commands.items()}
