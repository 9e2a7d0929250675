# SPDX-License-Identifier: MIT
"""``embedded``: the data path on the embedded host next to fio, on one cached file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import report
from benchmarks.errors import BenchmarkError
from benchmarks.fio import Fio, ensure_fio
from benchmarks.image import Image
from benchmarks.jobs import JOBS, Job
from benchmarks.ours import Ours
from benchmarks.reading import Contender, Pace
from benchmarks.rounds import Patience, run_rounds
from benchmarks.stats import Target, verdict

PEER = "fio io_uring"
TARGETS = (
    Target("randread-qd32", "usblkback", PEER, 0.8),
    Target("randread-qd32", "usblkback + TUI", PEER, 0.6),
)
_SCREEN_JOBS = ("randread-qd32",)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save; 1 when a target is missed.  Raises BenchmarkError."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise BenchmarkError(f"this process may use {len(cpus)} CPU; a backend and its guest need one each")
    fio = ensure_fio()
    jobs = [job for job in JOBS if not args.job or job.name in args.job]
    image = Image(args.dir)
    pace = Pace(args.seconds)
    os.sched_setaffinity(0, {cpus[1]})  # we, and the terminal we are, stay away from the backend's CPU
    measured = run_rounds(
        [(job, _contenders(job, cpus)) for job in jobs],
        image,
        args.rounds,
        pace,
        Patience(args.patience),
        lambda one: print(report.line(one), flush=True),
    )
    os.sched_setaffinity(0, set(cpus))
    print(report.table(measured, jobs, PEER))
    print(f"\n{report.targets(measured, TARGETS)}")
    content = {
        "fio": fio,
        "file_system": image.file_system,
        "image_bytes": image.size,
        "image_locked": image.locked,
        "pace": asdict(pace),
        "targets": report.judged(measured, TARGETS, jobs),
        "measurements": [report.plain(one) for one in measured],
    }
    print(f"\nsaved to {_short(report.save('embedded', content, keep=args.keep))}")
    return int(any(verdict(measured, target) == "missed" for target in TARGETS))


def _contenders(job: Job, cpus: Sequence[int]) -> tuple[Contender[Image], ...]:
    backend, guest = cpus[:2]
    with_screen = (Ours(backend, guest, screen=True),) if job.name in _SCREEN_JOBS else ()
    return (Ours(backend, guest), *with_screen, Fio("io_uring", backend), Fio("psync", backend))


def _short(path: Path) -> str:
    return os.path.relpath(path)
