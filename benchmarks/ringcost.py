# SPDX-License-Identifier: MIT
"""The data path alone as a contender: no image, and the cheapest frontend there can be, in ``ringcost/``."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.image import Image
from benchmarks.jobs import KIB, Job
from benchmarks.machine import ROOT
from benchmarks.native import program
from benchmarks.reading import Pace, Reading

SOURCES = Path(__file__).parent / "ringcost"
DATAPATH = ROOT / "usblkback_tui" / "engine" / "datapath"
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class RingCost:
    """A ring served on CPU ``cpu`` and filled on ``guest_cpu``, both without ever sleeping."""

    cpu: int
    guest_cpu: int
    name: str

    def measure(self, job: Job, _image: Image, pace: Pace) -> Reading:
        """One run; latencies are not measured.  Raises BenchmarkError."""
        core = [path for path in sorted(DATAPATH.glob("*.[ch]")) if path.name != "_core.c"]
        words = [self.cpu, self.guest_cpu, job.block_bytes // (4 * KIB), job.depth]
        words += [round(pace.ramp * 1000), round(pace.seconds * 1000)]
        command = [str(program(SOURCES, *core)), *map(str, words)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE + pace.ramp + pace.seconds)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"the ring was not served to the end in {job.name}") from None
        if run.returncode:
            raise BenchmarkError(f"{job.name} failed: exit code {run.returncode} {run.stderr.strip()}")
        return reading(json.loads(run.stdout), job)


def reading(said: dict[str, float], job: Job) -> Reading:
    """What the program's line says.  Raises BenchmarkError when nothing was done."""
    requests, seconds = said["requests"], said["seconds"]
    if not requests:
        raise BenchmarkError(f"{job.name}: no request was answered")
    return Reading(
        requests_per_second=requests / seconds,
        bytes_per_second=requests * job.block_bytes / seconds,
        cpu_us=said["cpu_seconds"] / requests * 1e6,
        p50_us=0.0,
        p99_us=0.0,
        cpu_percent=said["cpu_seconds"] / seconds * 100,
    )
