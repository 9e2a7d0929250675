# SPDX-License-Identifier: MIT
"""Alternating rounds: in each one every contender carries every job, and the order turns from round to round.

A machine drifts by a quarter within minutes, so only neighbours are compared: the ratio of two contenders is that of
the same job in the same round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.foreign import CpuUse, Watch, wait_quiet
from benchmarks.jobs import Job
from benchmarks.reading import Contender, Ground, Pace, Reading

GroundT = TypeVar("GroundT", bound=Ground)

TRIES = 3
"""Of one contender at one job in one round, until nobody else disturbed it."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One contender at one job in one round."""

    round: int
    job: str
    contender: str
    reading: Reading
    use: CpuUse
    tries: int

    @property
    def clean(self) -> bool:
        return self.use.clean


class Patience:
    """Seconds to spend, over all rounds, on waiting for others to leave the machine alone."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def wait_quiet(self) -> None:
        """Return when it is quiet, or when no seconds are left."""
        if self.left > 0:
            self.left -= wait_quiet(self.left)

    def spend(self, seconds: float) -> None:
        """A measurement was for nothing."""
        self.left -= seconds


def run_rounds(
    cells: Sequence[tuple[Job, Sequence[Contender[GroundT]]]],
    ground: GroundT,
    rounds: int,
    pace: Pace,
    patience: Patience,
    report: Callable[[Measurement], None],
) -> list[Measurement]:
    """All measurements in the order they were taken.  Raises BenchmarkError.

    A job whose round was disturbed all the same gets another round at the end, at most as many again, while there is
    patience.
    """
    done: list[Measurement] = []
    for number in range(2 * rounds):
        for job, contenders in cells:
            if number >= rounds and (patience.left <= 0 or _clean_rounds(done, job) >= rounds):
                continue
            turn = number % len(contenders)
            for contender in (*contenders[turn:], *contenders[:turn]):
                one = _measure(number, job, contender, ground, pace, patience)
                report(one)
                done.append(one)
    return done


def _clean_rounds(done: Sequence[Measurement], job: Job) -> int:
    """In which nobody was disturbed at this job."""
    all_, disturbed = set[int](), set[int]()
    for one in done:
        if one.job == job.name:
            all_.add(one.round)
            if not one.clean:
                disturbed.add(one.round)
    return len(all_ - disturbed)


def _measure(
    number: int, job: Job, contender: Contender[GroundT], ground: GroundT, pace: Pace, patience: Patience
) -> Measurement:
    """The first clean try, else the quietest one."""
    tries: list[Measurement] = []
    while True:
        patience.wait_quiet()
        ground.settle()
        began, watch = time.monotonic(), Watch()
        reading = contender.measure(job, ground, pace)
        one = Measurement(number, job.name, contender.name, reading, watch.stop(), len(tries) + 1)
        tries.append(one)
        if one.clean or len(tries) == TRIES or patience.left <= 0:
            return min(tries, key=lambda each: each.use.foreign)
        patience.spend(time.monotonic() - began)
