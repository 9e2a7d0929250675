# SPDX-License-Identifier: MIT
"""``scale``: one engine with 1, 8 and 64 disks, busy and idle, with the screen and without."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from benchmarks import report
from benchmarks.conclude import Section, conclude
from benchmarks.embedded import away_from, two_cpus
from benchmarks.image import Images
from benchmarks.jobs import KIB, MIB, Job
from benchmarks.ours import Ours
from benchmarks.reading import Pace
from benchmarks.rounds import Patience, run_rounds
from benchmarks.stats import Target
from benchmarks.variants import OURS, variants

DISKS = (1, 8, 64)
IMAGE_BYTES = 16 * MIB
BUSY_JOBS = tuple(
    Job(f"busy-{disks}", f"{disks} busy disks: 4 KiB random read, QD32 each", 4 * KIB, 32, disks=disks)
    for disks in DISKS
)
IDLE_JOBS = (Job("idle-64", "64 idle disks", 4 * KIB, 0, disks=64),)
ALL_JOBS = (*BUSY_JOBS, *IDLE_JOBS)
SECTIONS = (
    Section("", BUSY_JOBS, title="requests/s of all disks"),
    Section("cpu", BUSY_JOBS, field="cpu_us", title="CPU µs per request", table=False),
    Section("idle", IDLE_JOBS, field="cpu_percent", title="CPU of the engine's process, % of a core"),
)
TARGETS = (
    Target("busy-64", OURS, OURS, 0.9, peer_job="busy-8"),
    Target("idle-64", OURS, most=1.0, value="cpu_percent"),
)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save; 1 when a target is missed.  Raises BenchmarkError."""
    backend, guest = two_cpus()
    ours = variants(args)
    jobs = [job for job in ALL_JOBS if not args.job or job.name in args.job]
    images = Images(args.dir, max(job.disks for job in jobs), IMAGE_BYTES)
    pace = Pace(args.seconds, ramp=2.0)  # an idle engine comes to rest, dozens of guests' rings get going
    with away_from(backend):
        contenders = (*(Ours(backend, guest, one) for one in ours), Ours(backend, guest, ours[0], screen=True))
        measured = run_rounds(
            [(job, contenders) for job in jobs],
            images,
            args.rounds,
            pace,
            Patience(args.patience),
            lambda one: print(report.line(one), flush=True),
        )
    content = {
        "ours": {one.name: one.lines for one in ours},
        "file_system": images.file_system,
        "image_bytes": IMAGE_BYTES,
        "images_locked": images.locked,
        "pace": asdict(pace),
    }
    return conclude("scale", measured, SECTIONS, TARGETS, content, keep=args.keep)
