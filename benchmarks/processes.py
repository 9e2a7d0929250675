# SPDX-License-Identifier: MIT
"""What a running process has used."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB resident: all, and of that what is private, what is of files, what is shared (a guest's memory)."""

    total: float
    private: float
    files: float
    shared: float


def on_cpu(cpu: int, command: Sequence[str]) -> list[str]:
    """``command`` on one CPU; threads that it makes, and kernel workers that its io_uring makes, stay there."""
    return ["taskset", "-c", str(cpu), *command]


def cpu_seconds(pid: int) -> dict[int, float]:
    """CPU seconds of each thread by its id, exact to the nanosecond: /proc/PID/task/*/schedstat."""
    used = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                used[int(task)] = int(file.read().split()[0]) / 1e9
        except (OSError, IndexError):
            continue  # it has ended
    return used


def process_seconds(pid: int) -> float:
    """CPU seconds of all its threads, ended ones too: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


def memory(pid: int) -> Memory:
    """Resident memory now."""
    fields = {}
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.startswith(("VmRSS", "Rss")):
                fields[name] = int(value.split()[0]) / 1024
    return Memory(fields["VmRSS"], fields["RssAnon"], fields["RssFile"], fields["RssShmem"])
