# SPDX-License-Identifier: MIT
"""``cost``: what larger rings and more queues cost, with the same load on all and with every ring full."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass

from benchmarks import report
from benchmarks.conclude import Section, conclude
from benchmarks.embedded import away_from, two_cpus
from benchmarks.image import Image
from benchmarks.jobs import KIB, Job
from benchmarks.ours import Ours
from benchmarks.reading import Pace
from benchmarks.rounds import Patience, run_rounds
from benchmarks.variants import Variant, variants

SLOTS = 32
"""Requests in a ring of one page."""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number > 1 else "")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the guest asks for."""

    order: int = 0
    """The ring has ``1 << order`` pages."""
    queues: int = 1

    @property
    def name(self) -> str:
        pages = 1 << self.order
        return f"{_count(self.queues, 'queue')}, {_count(pages, 'page')}"

    @property
    def slots(self) -> int:
        """Requests that all its rings hold."""
        return (SLOTS << self.order) * self.queues

    @property
    def guest(self) -> tuple[tuple[str, int], ...]:
        """GuestOptions: Linux asks for as many queues as it has CPUs, so it gets as many."""
        more = (("max_queues", self.queues), ("vcpus", self.queues)) if self.queues > 1 else ()
        return (("ring_order", self.order), *more)


RINGS = tuple(Shape(order) for order in range(5))
QUEUES = tuple(Shape(0, queues) for queues in (2, 3, 4))
BOTH = (Shape(4, 4),)
SHAPES = (*RINGS, *QUEUES, *BOTH)
SAME = Job("same", "4 KiB random read, 32 under way over all queues", 4 * KIB, SLOTS)
FULL = Job("full", "4 KiB random read, every ring full", 4 * KIB, SLOTS)
ALL_JOBS = (SAME, FULL)
SECTIONS = (
    Section("", ALL_JOBS, peer=SHAPES[0].name),
    Section("cpu", ALL_JOBS, field="cpu_us", title="CPU µs per request", table=False),
)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save.  Raises BenchmarkError."""
    backend, guest = two_cpus()
    ours = variants(args)[0]
    image = Image(args.dir)
    pace = Pace(args.seconds)
    with away_from(backend):
        measured = run_rounds(
            [(job, contenders(job, ours, backend, guest)) for job in ALL_JOBS if not args.job or job.name in args.job],
            image,
            args.rounds,
            pace,
            Patience(args.patience),
            lambda one: print(report.line(one), flush=True),
        )
    content = {
        "ours": ours.lines,
        "file_system": image.file_system,
        "image_bytes": image.size,
        "image_locked": image.locked,
        "pace": asdict(pace),
    }
    return conclude("cost", measured, SECTIONS, (), content, keep=args.keep)


def contenders(job: Job, ours: Variant, backend: int, guest: int) -> tuple[Ours, ...]:
    """Ours in every shape; a full ring is as deep as it has slots."""
    return tuple(
        Ours(
            backend,
            guest,
            ours.also("max_ring_page_order = 4", "max_queues = 4"),
            label=shape.name,
            guest=shape.guest,
            depth=shape.slots if job is FULL else 0,
        )
        for shape in SHAPES
    )
