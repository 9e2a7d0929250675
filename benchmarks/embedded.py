# SPDX-License-Identifier: MIT
"""``embedded``: the data path on the embedded host next to fio and to other userspace backends, on one file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from benchmarks import report
from benchmarks.conclude import Section, conclude
from benchmarks.errors import BenchmarkError
from benchmarks.image import Image
from benchmarks.jobs import DIRECT_JOBS, JOBS, KIB, MIB, Job
from benchmarks.ours import Ours
from benchmarks.peers import PEERS, Peer, carrying, present
from benchmarks.reading import Contender, Pace
from benchmarks.ringcost import RingCost
from benchmarks.rounds import Patience, run_rounds
from benchmarks.stats import Target
from benchmarks.variants import OURS, Variant, variants

NULL_JOBS = (
    Job("null-4k", "no image: 4 KiB read, QD32", 4 * KIB, 32),
    Job("null-1m", "no image: read of 256 segments, QD4", MIB, 4),
)
"""What a request costs us besides its I/O."""
BUSY_JOBS = (
    Job("busy-qd32", "4 KiB random read, QD32, next to a busy Python loop", 4 * KIB, 32),
    Job("busy-qd1", "4 KiB random read, QD1, next to a busy Python loop", 4 * KIB, 1),
)
ALL_JOBS = (*JOBS, *NULL_JOBS, *BUSY_JOBS, *DIRECT_JOBS)
"""O_DIRECT last: its writes cool the cache."""
_SCREEN_JOBS = ("randread-qd32",)

ALONE = "data path alone"
URING, BUSY_THREAD, BUSY_PROCESS = "fio io_uring", f"{OURS} + busy thread", f"{OURS} + busy process"
SECTIONS = (
    Section("", (*JOBS, *DIRECT_JOBS), URING),
    Section("null", NULL_JOBS, field="cpu_us", title="CPU µs per request without an image"),
    Section("busy", BUSY_JOBS, BUSY_PROCESS),
)
TARGETS = (
    Target("randread-qd32", OURS, URING, 1.3),
    Target("randread-qd32", OURS, "qsd io_uring", 2.5),
    Target("randread-qd32", f"{OURS} + TUI", URING, 0.6),
    Target("randwrite-qd32", OURS, "fio psync", 1.0),
    Target("seqread-1m", OURS, URING, 1.0),
    Target("seqwrite-1m", OURS, URING, 1.0),
    Target("direct-randread-qd32", OURS, URING, 0.95),
    Target("direct-randwrite-qd32", OURS, URING, 0.95),
    Target("null-4k", ALONE, most=0.15, value="cpu_us"),
    Target("null-1m", ALONE, most=2.0, value="cpu_us"),
    # next to the same loop in another process: whoever shares a core has half of it
    Target("busy-qd32", BUSY_THREAD, BUSY_PROCESS, 0.9),
    Target("busy-qd1", BUSY_THREAD, BUSY_PROCESS, 0.9),
)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save; 1 when a target is missed.  Raises BenchmarkError."""
    backend, guest = two_cpus()
    ours = variants(args)
    peers, versions = present(args.peer or [name for name, peer in PEERS.items() if peer.usual])
    jobs = [job for job in ALL_JOBS if not args.job or job.name in args.job]
    image = Image(args.dir)
    pace = Pace(args.seconds)
    with away_from(backend):
        measured = run_rounds(
            [(job, contenders(job, ours, peers, backend, guest)) for job in jobs],
            image,
            args.rounds,
            pace,
            Patience(args.patience),
            lambda one: print(report.line(one), flush=True),
        )
    content = {
        "programs": versions,
        "ours": {one.name: one.lines for one in ours},
        "file_system": image.file_system,
        "image_bytes": image.size,
        "image_locked": image.locked,
        "pace": asdict(pace),
    }
    return conclude("embedded", measured, SECTIONS, TARGETS, content, keep=args.keep)


def two_cpus() -> tuple[int, int]:
    """One for a backend and one for its guest.  Raises BenchmarkError."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise BenchmarkError(f"this process may use {len(cpus)} CPU; a backend and its guest need one each")
    return cpus[0], cpus[1]


@contextmanager
def away_from(cpu: int) -> Iterator[None]:
    """We, and the terminal we are, leave the backend's CPU alone until the end of the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def contenders(
    job: Job, ours: Sequence[Variant], peers: Sequence[Peer], backend: int, guest: int
) -> tuple[Contender[Image], ...]:
    """Who carries a job."""
    if job in NULL_JOBS:
        return (RingCost(backend, guest, ALONE), *(Ours(backend, guest, one, null=True) for one in ours))
    if job in BUSY_JOBS:
        return tuple(Ours(backend, guest, ours[0], busy=busy) for busy in ("", "thread", "process"))
    with_screen = (Ours(backend, guest, ours[0], screen=True),) if job.name in _SCREEN_JOBS else ()
    return (
        *(Ours(backend, guest, one) for one in ours),
        *with_screen,
        *carrying(peers, job, backend, guest),
    )
