# SPDX-License-Identifier: MIT
"""What one run of one contender says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from benchmarks.jobs import Job

Ground_contra = TypeVar("Ground_contra", contravariant=True)
"""What contenders work on: an image file, a Xen machine."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a run takes: ``ramp`` seconds that do not count, then ``seconds`` that do."""

    seconds: float = 2.5
    ramp: float = 0.5


@dataclass(frozen=True, slots=True)
class Reading:
    """One run."""

    requests_per_second: float
    bytes_per_second: float
    cpu_us: float
    """CPU microseconds of the contender's process per request; kernel workers on its behalf may be missing."""
    p50_us: float
    p99_us: float
    cpu_percent: float = 0.0
    """Of one core, by the contender's process."""


class Ground(Protocol):
    """What all contenders work on."""

    def settle(self) -> None:
        """Bring it into the state every measurement begins with."""
        ...


class Contender(Protocol[Ground_contra]):
    """Somebody who can carry a job."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def measure(self, job: Job, ground: Ground_contra, pace: Pace, /) -> Reading:
        """One run from the state that ``settle`` leaves.  Raises BenchmarkError."""
        ...
