# SPDX-License-Identifier: MIT
"""How much CPU others used while we measured: a figure taken on a busy machine must say so.

Foreign is what the kernel counts as busy in /proc/stat, the hypervisor's steal included, less what this process and its
descendants used and less what kernel threads used (they write back what our own jobs made dirty).
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
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
    """Begins when it is made.  Children and their children count as ours, running or ended."""

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
    """CPU seconds of this process, of its children that have ended, and of its descendants that run."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses) + _descendant_seconds()


def kernel_seconds() -> float:
    """CPU seconds of all kernel threads that exist now: the children of kthreadd, pid 2."""
    return sum(process.own for process in _processes() if process.parent == 2)


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    own: float
    """CPU seconds of its threads."""
    ended: float
    """CPU seconds of the children it has waited for."""


def _processes() -> Iterator[_Process]:
    """All there are, from /proc/PID/stat."""
    for folder in os.scandir("/proc"):
        if not folder.name.isdigit():
            continue
        try:
            with open(f"/proc/{folder.name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        user, system, ended_user, ended_system = (int(field) / _TICK for field in fields[11:15])
        yield _Process(int(folder.name), int(fields[1]), user + system, ended_user + ended_system)


def _descendant_seconds() -> float:
    children: dict[int, list[_Process]] = {}
    for process in _processes():
        children.setdefault(process.parent, []).append(process)
    seconds = 0.0
    parents = [os.getpid()]
    while parents:
        for process in children.get(parents.pop(), ()):
            seconds += process.own + process.ended
            parents.append(process.pid)
    return seconds
