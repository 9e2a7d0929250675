# SPDX-License-Identifier: MIT
"""nbdkit's file plugin as a peer, on a unix socket, driven by fio's NBD engine."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from benchmarks.fio import fio, reading
from benchmarks.image import Image
from benchmarks.jobs import Job
from benchmarks.processes import process_seconds
from benchmarks.reading import Pace, Reading
from benchmarks.server import serving


@dataclass(frozen=True, slots=True)
class Nbdkit:
    """The server with its defaults on CPU ``cpu``, fio on ``guest_cpu``."""

    cpu: int
    guest_cpu: int

    @property
    def name(self) -> str:
        return "nbdkit file"

    def measure(self, job: Job, image: Image, pace: Pace) -> Reading:
        """One run.  Raises BenchmarkError."""
        with serving(
            self.name,
            lambda socket: ["nbdkit", "--foreground", "--unix", str(socket), "file", f"file={image.path}"],
            self.cpu,
        ) as at:
            began, before = time.monotonic(), process_seconds(at.pid)
            said = fio(job, pace, "nbd", self.guest_cpu, [f"--uri=nbd+unix:///?socket={at.socket}"])
            # over the whole run, ramp included, as fio's own use is taken
            cores = (process_seconds(at.pid) - before) / (time.monotonic() - began)
        found = reading(said, job)
        return replace(found, cpu_us=cores / found.requests_per_second * 1e6, cpu_percent=cores * 100)
