# SPDX-License-Identifier: MIT
"""fio in a guest, and what dom0 spent meanwhile."""

from __future__ import annotations

import json
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.fio import reading
from benchmarks.jobs import Job
from benchmarks.reading import Pace, Reading
from benchmarks.xen_machine import IMAGE_MIB, Disk, XenMachine

_SECTOR_BYTES = 512
_TICKS_PER_SECOND = 100
"""USER_HZ, the unit of /proc/stat."""
_BUSY = (1, 2, 3, 6, 7)
"""Columns of /proc/stat's cpu line that are work of dom0 itself: user, nice, system, irq, softirq."""


@dataclass(frozen=True, slots=True)
class GuestFio:
    """fio on one disk of the guest."""

    disk: Disk

    @property
    def name(self) -> str:
        return self.disk.name

    def measure(self, job: Job, machine: XenMachine, pace: Pace) -> Reading:
        """One run; ``cpu_us`` is all of dom0's time for each request.  Raises BenchmarkError."""
        before = dom0_seconds(machine.dom0.run("head -n 1 /proc/stat").out)
        said = machine.guest.run(guest_command(self.disk.device, job, pace), timeout=120 + 4 * pace.seconds).out
        spent = dom0_seconds(machine.dom0.run("head -n 1 /proc/stat").out) - before
        return guest_reading(said, job, spent)

    def negotiated(self, machine: XenMachine) -> dict[str, object]:
        """What backend and guest agreed on."""
        queue = f"/sys/block/{self.disk.device}/queue"
        frontend = f"/local/domain/{machine.guest.domid}/device/vbd/{_devid(self.disk.device)}"
        backend = machine.dom0.run(f"xenstore-read {frontend}/backend").out.strip()

        def key(path: str) -> str:
            return machine.dom0.run(f"xenstore-read {path} 2>/dev/null", check=False).out.strip()

        persistent = key(f"{backend}/feature-persistent") == key(f"{frontend}/feature-persistent") == "1"
        return {
            "device": self.disk.device,
            "backend": backend,
            "persistent_grants": persistent,
            "queues": int(key(f"{frontend}/multi-queue-num-queues") or 1),
            "ring_pages": 1 << int(key(f"{frontend}/ring-page-order") or 0),
            "max_segments": int(machine.guest.run(f"cat {queue}/max_segments").out),
        }


def guest_command(device: str, job: Job, pace: Pace) -> str:
    """A line of the guest's shell: the disk's counters, fio, the counters again, fio's JSON."""
    counters = f"cat /sys/block/{device}/stat"
    fio = [
        "fio",
        f"--name={job.name}",
        f"--filename=/dev/{device}",
        f"--size={IMAGE_MIB}m",
        f"--rw={job.fio_rw}",
        f"--bs={job.block_bytes}",
        f"--iodepth={job.depth}",
        "--ioengine=libaio",
        "--direct=1",
        f"--ramp_time={round(pace.ramp * 1000)}ms",
        f"--runtime={round(pace.seconds * 1000)}ms",
        "--time_based",
        "--norandommap",
        "--randrepeat=0",
        "--clat_percentiles=0",
        "--lat_percentiles=1",
        "--eta=never",
        "--output-format=json",
        "--output=/tmp/fio.json",
    ]
    return f"{counters} && {' '.join(fio)} && {counters} && cat /tmp/fio.json"


def guest_reading(said: str, job: Job, dom0_spent: float) -> Reading:
    """What `guest_command` printed.  Raises BenchmarkError.

    ``dom0_spent`` is in seconds over the whole command, fio's ramp included, and so are the requests it is divided by.
    """
    head, brace, tail = said.partition("{")
    counters = [line.split() for line in head.splitlines() if line.strip()]
    if not brace or [len(fields) >= 11 and "".join(fields).isdigit() for fields in counters] != [True, True]:
        raise BenchmarkError(f"the guest said no figures in {job.name}, but: {said[-600:]!r}")
    # sectors read and sectors written (Linux, Documentation/block/stat.rst)
    column = 6 if job.write else 2
    requests = (int(counters[1][column]) - int(counters[0][column])) * _SECTOR_BYTES / job.block_bytes
    if requests <= 0:
        raise BenchmarkError(f"the guest's disk did nothing in {job.name}")
    return reading(json.loads(brace + tail), job, cpu_us=dom0_spent / requests * 1e6)


def dom0_seconds(stat_line: str) -> float:
    """CPU seconds dom0 has worked, from the first line of its /proc/stat; waiting for a processor (steal) apart."""
    fields = stat_line.split()
    return sum(int(fields[column]) for column in _BUSY) / _TICKS_PER_SECOND


def _devid(device: str) -> int:
    return (202 << 8) | ((ord(device[-1]) - ord("a")) << 4)
