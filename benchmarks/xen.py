# SPDX-License-Identifier: MIT
"""``xen``: fio in a real Linux guest, on a disk of ours, of the kernel's blkback and of QEMU, on one Xen machine."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks import report
from benchmarks.jobs import JOBS, Job
from benchmarks.reading import Pace
from benchmarks.rounds import Measurement, Patience, run_rounds
from benchmarks.stats import Target, ratio, verdict
from benchmarks.xen_fio import GuestFio
from benchmarks.xen_machine import IMAGE_MIB, KERNEL, OURS, QDISK, XenMachine, disks, running

XEN_JOBS = JOBS
TARGETS = tuple(Target(job, OURS, QDISK, 1.2) for job in ("randread-qd1", "randread-qd32", "seqread-1m"))


def run(args: argparse.Namespace) -> int:
    """Measure, print, save; 1 when a target is missed.  Raises BenchmarkError."""
    jobs = [job for job in XEN_JOBS if not args.job or job.name in args.job]
    pace = Pace(args.seconds, ramp=1.0)
    patience = Patience(args.patience)
    with running(disks(args.variant)) as machine:
        contenders = [GuestFio(disk) for disk in machine.disks]
        for job in jobs:  # the emulator translates code when it first runs
            for contender in contenders:
                contender.measure(job, machine, Pace(1.0, 0.0))
        measured = run_rounds(
            [(job, contenders) for job in jobs],
            machine,
            args.rounds,
            pace,
            patience,
            lambda one: print(report.line(one), flush=True),
        )
        content = {
            "fio": machine.guest.run("fio --version").out.strip(),
            "dom0": _dom0(machine),
            "image_mib": IMAGE_MIB,
            "disks": {contender.name: contender.negotiated(machine) for contender in contenders},
            "pace": asdict(pace),
        }
    print(report.table(measured, jobs, QDISK))
    print(f"\n{_against(measured, jobs, KERNEL)}")
    print(f"\n{report.targets(measured, TARGETS)}")
    content["targets"] = report.judged(measured, TARGETS, jobs)
    content["measurements"] = [report.plain(one) for one in measured]
    print(f"\nsaved to {os.path.relpath(report.save('xen', content, keep=args.keep))}")
    return int(any(verdict(measured, target) == "missed" for target in TARGETS))


def _dom0(machine: XenMachine) -> dict[str, str]:
    """What runs in the emulated machine."""
    commands = {
        "xen": "xl info xen_version",
        "kernel": "uname -r",
        "qemu": "/usr/libexec/xen-qemu-system-i386 --version | head -n 1",
    }
    return {name: machine.dom0.run(command, check=False).out.strip() for name, command in commands.items()}


def _against(measured: Sequence[Measurement], jobs: Sequence[Job], peer: str) -> str:
    """Our ratio to a peer that is no target."""
    lines = [f"{OURS} ÷ {peer}"]
    for job in jobs:
        clean = ratio(measured, job.name, OURS, peer)
        found = clean or ratio(measured, job.name, OURS, peer, clean_only=False)
        if found:
            count = f"{clean.count if clean else 0} clean"
            lines.append(f"  {job.title:<30} {found.median:.2f} [{found.low:.2f}–{found.high:.2f}]  {count}")
    return "\n".join(lines)
