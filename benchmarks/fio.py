# SPDX-License-Identifier: MIT
"""fio: the same load on the same file, without a guest and a ring in between; and the load of other peers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.image import Image
from benchmarks.jobs import Job
from benchmarks.processes import on_cpu
from benchmarks.reading import Pace, Reading


@dataclass(frozen=True, slots=True)
class Fio:
    """One of fio's engines on CPU ``cpu``, with its default way to submit."""

    engine: str
    cpu: int

    @property
    def name(self) -> str:
        return f"fio {self.engine}"

    def measure(self, job: Job, image: Image, pace: Pace) -> Reading:
        """One run.  Raises BenchmarkError."""
        where = [f"--filename={image.path}", f"--size={image.size}"]
        return reading(fio(job, pace, self.engine, self.cpu, where), job)


def fio(job: Job, pace: Pace, engine: str, cpu: int, where: Sequence[str]) -> dict[str, Any]:
    """Run it; its JSON.  ``where`` are the options that name the file or the server.  Raises BenchmarkError."""
    run = subprocess.run(on_cpu(cpu, [*command(job, pace, engine), *where]), capture_output=True, text=True)
    if run.returncode:
        raise BenchmarkError(f"fio {engine} failed in {job.name}: {run.stderr.strip() or run.stdout.strip()}")
    return parse(run.stdout)


def command(job: Job, pace: Pace, engine: str) -> list[str]:
    """fio's options for a job."""
    return [
        "fio",
        f"--name={job.name}",
        f"--rw={job.fio_rw}",
        f"--bs={job.block_bytes}",
        f"--iodepth={job.depth}",
        f"--ioengine={engine}",
        f"--ramp_time={round(pace.ramp * 1000)}ms",
        f"--runtime={round(pace.seconds * 1000)}ms",
        "--time_based",
        f"--direct={int(job.direct)}",
        "--invalidate=0",  # else fio empties the page cache first
        "--iomem_align=4096",  # as a guest's pages are: the kernel copies into crooked buffers at a third of the speed
        "--norandommap",  # our guest keeps no map of blocks it has touched either
        "--randrepeat=0",
        "--clat_percentiles=0",
        "--lat_percentiles=1",
        "--output-format=json",
    ]


def parse(output: str) -> dict[str, Any]:
    """The JSON in what fio printed; notes may precede it.  Raises BenchmarkError."""
    begin = output.find("{")
    try:
        return dict(json.loads(output[begin:]))
    except ValueError:
        raise BenchmarkError(f"fio printed no JSON but: {output.strip()[:300]}") from None


def reading(output: dict[str, Any], job: Job, cpu_us: float | None = None) -> Reading:
    """What fio's JSON says; without ``cpu_us`` fio's own use of CPU per request.  Raises BenchmarkError."""
    one = output["jobs"][0]
    side = one["write" if job.write else "read"]
    if one["error"] or not side["total_ios"]:
        raise BenchmarkError(f"fio did nothing in {job.name}: error {one['error']}")
    if cpu_us is None:
        # percent of one CPU over the whole run, ramp included, as is the rate
        cpu_us = (one["usr_cpu"] + one["sys_cpu"]) / 100 / side["iops"] * 1e6
    percentiles = side["lat_ns"]["percentile"]
    return Reading(
        requests_per_second=side["iops"],
        bytes_per_second=side["bw_bytes"],
        cpu_us=cpu_us,
        p50_us=percentiles["50.000000"] / 1000,
        p99_us=percentiles["99.000000"] / 1000,
        cpu_percent=cpu_us * side["iops"] / 1e4,
    )
