# SPDX-License-Identifier: MIT
"""fio as a peer: the same load on the same file, without a guest and a ring in between."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.image import Image
from benchmarks.jobs import Job
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
        run = subprocess.run(self._command(job, image, pace), capture_output=True, text=True)
        if run.returncode:
            raise BenchmarkError(f"fio failed: {run.stderr.strip() or run.stdout.strip()}")
        # a note about iodepth may precede the JSON
        return reading(json.loads(run.stdout[run.stdout.index("{") :]), job)

    def _command(self, job: Job, image: Image, pace: Pace) -> list[str]:
        return [
            "fio",
            f"--name={job.name}",
            f"--filename={image.path}",
            f"--size={image.size}",
            f"--rw={job.fio_rw}",
            f"--bs={job.block_bytes}",
            f"--iodepth={job.depth}",
            f"--ioengine={self.engine}",
            f"--cpus_allowed={self.cpu}",
            f"--ramp_time={round(pace.ramp * 1000)}ms",
            f"--runtime={round(pace.seconds * 1000)}ms",
            "--time_based",
            "--direct=0",
            "--invalidate=0",  # else fio empties the page cache first
            "--norandommap",  # our guest keeps no map of blocks it has touched either
            "--randrepeat=0",
            "--clat_percentiles=0",
            "--lat_percentiles=1",
            "--output-format=json",
        ]


def ensure_fio() -> str:
    """fio's version; installs it with apt when root.  Raises BenchmarkError."""
    if shutil.which("fio") is None:
        if os.geteuid() or shutil.which("apt-get") is None:
            raise BenchmarkError("fio is not installed; install it (apt-get install fio) and run again")
        print("fio is not installed: installing it with apt-get", flush=True)
        run = subprocess.run(["apt-get", "install", "-y", "-qq", "fio"], capture_output=True, text=True)
        if run.returncode:
            raise BenchmarkError(f"apt-get install fio failed: {run.stderr.strip()}; install fio and run again")
    return subprocess.run(["fio", "--version"], capture_output=True, text=True, check=True).stdout.strip()


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
    )
