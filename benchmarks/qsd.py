# SPDX-License-Identifier: MIT
"""qemu-storage-daemon as a peer: the image as a vhost-user-blk device, driven by our own frontend in ``vhost/``."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.image import Image
from benchmarks.jobs import Job
from benchmarks.native import program
from benchmarks.processes import on_cpu
from benchmarks.reading import Pace, Reading
from benchmarks.server import Served, serving

FRONTEND = Path(__file__).parent / "vhost"
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Qsd:
    """The daemon with an iothread on CPU ``cpu``, the guest on ``guest_cpu``; ``aio`` is QEMU's way to the file."""

    cpu: int
    guest_cpu: int
    aio: str = "io_uring"
    """Or ``threads``, which is QEMU's default."""

    @property
    def name(self) -> str:
        return f"qsd {self.aio}"

    def measure(self, job: Job, image: Image, pace: Pace) -> Reading:
        """One run.  Raises BenchmarkError."""
        with serving(self.name, lambda socket: daemon(image.path, socket, self.aio, direct=job.direct), self.cpu) as at:
            return drive(at, image.path, job, pace, self.guest_cpu)


def daemon(image: Path, socket: Path, aio: str, *, direct: bool = False) -> list[str]:
    """The command line of the daemon."""
    cache = "on" if direct else "off"
    return [
        "qemu-storage-daemon",
        # locking=off: nobody else writes, and the frontend reads the image to check
        "--blockdev",
        f"driver=file,node-name=image,filename={image},aio={aio},cache.direct={cache},locking=off",
        "--object",
        "iothread,id=thread",
        "--export",
        f"vhost-user-blk,id=disk,node-name=image,addr.type=unix,addr.path={socket},writable=on,iothread=thread",
    ]


def drive(at: Served, image: Path, job: Job, pace: Pace, cpu: int) -> Reading:
    """Our frontend's load on a device.  Raises BenchmarkError, also when the device is wrong about the image."""
    words = [at.socket, image, at.pid, job.fio_rw, job.block_bytes, job.depth]
    words += [round(pace.ramp * 1000), round(pace.seconds * 1000)]
    command = on_cpu(cpu, [str(program(FRONTEND)), *map(str, words)])
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE + pace.ramp + pace.seconds)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"the vhost-user frontend did not end in {job.name}") from None
    if run.returncode:
        raise BenchmarkError(f"{job.name} failed: {run.stderr.strip()}")
    return reading(json.loads(run.stdout), job)


def reading(said: dict[str, float], job: Job) -> Reading:
    """What the frontend's line says.  Raises BenchmarkError when nothing was done, or nothing was checked."""
    requests, seconds = said["requests"], said["seconds"]
    if not requests or not said["checked"]:
        raise BenchmarkError(f"{job.name}: {requests:g} requests, {said['checked']:g} of them checked")
    return Reading(
        requests_per_second=requests / seconds,
        bytes_per_second=requests * job.block_bytes / seconds,
        cpu_us=said["cpu_seconds"] / requests * 1e6,
        p50_us=said["p50_us"],
        p99_us=said["p99_us"],
        cpu_percent=said["cpu_seconds"] / seconds * 100,
    )
