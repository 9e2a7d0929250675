# SPDX-License-Identifier: MIT
"""How much CPU others used while we measured: a figure taken on a busy machine must say so.

Foreign is what the kernel counts as busy in /proc/stat, the hypervisor's steal included, less what this process and its
children used and less what kernel threads used (they write back what our own jobs made dirty).
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

LIMIT = 0.3
"""Cores.  With more than that a measurement is not clean."""
_TICK = os.sysconf("SC_CLK_TCK")
_IDLE, _IOWAIT, _GUEST = 3, 4, 8
"""Columns of /proc/stat's cpu line that are no work, and the first of those counted twice."""


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Cores in use over a while."""

    foreign: float
    own: float
    kernel: float
    load1: float
    """The first figure of /proc/loadavg at the end."""

    @property
    def clean(self) -> bool:
        return self.foreign <= LIMIT


class Watch:
    """Begins when it is made.  Children count as ours once they have been waited for."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._own, self._kernel = busy_seconds(), own_seconds(), kernel_seconds()

    def stop(self) -> CpuUse:
        """The use since the beginning; what is measured in ticks can be off by some hundredths."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        own = own_seconds() - self._own
        kernel = max(kernel_seconds() - self._kernel, 0.0)
        foreign = max(busy_seconds() - self._busy - own - kernel, 0.0)
        load1 = float(Path("/proc/loadavg").read_text().split()[0])
        return CpuUse(foreign / seconds, own / seconds, kernel / seconds, load1)


def wait_quiet(patience: float, look: float = 1.0) -> float:
    """Wait until others leave the machine alone, ``patience`` seconds at most; the seconds spent."""
    began = time.monotonic()
    while True:
        watch = Watch()
        time.sleep(look)
        spent = time.monotonic() - began
        if watch.stop().clean or spent >= patience:
            return spent


def busy_seconds() -> float:
    """CPU seconds since boot in which any CPU did anything."""
    with open("/proc/stat") as file:
        ticks = [int(field) for field in file.readline().split()[1:]]
    return sum(n for column, n in enumerate(ticks) if column < _GUEST and column not in (_IDLE, _IOWAIT)) / _TICK


def own_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def kernel_seconds() -> float:
    """CPU seconds of all kernel threads that exist now: the children of kthreadd, pid 2."""
    ticks = 0
    for folder in os.scandir("/proc"):
        if not folder.name.isdigit():
            continue
        try:
            with open(f"/proc/{folder.name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if fields[1] == "2":
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICK
