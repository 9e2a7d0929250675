# SPDX-License-Identifier: MIT
"""What this process costs: its threads, memory and descriptors, read from /proc at most once a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from usblkback_tui.engine.snapshot import DiskView, EngineFacts, ThreadFacts

PAUSE = 1.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class SelfWatch:
    """Any thread may ask; between two readings all get the same answer.  ``proc`` is /proc/self, or a test's."""

    def __init__(self, proc: Path = Path("/proc/self"), *, grant_budget: int = 0) -> None:
        self._proc = str(proc)
        self._grant_budget = grant_budget
        self._started = time.monotonic()
        self._guard = threading.Lock()
        self._facts = EngineFacts(monotonic=self._started - PAUSE)

    def facts(self, disks: Iterable[DiskView]) -> EngineFacts:
        """The facts of now, or of less than a second ago; grants are those of ``disks``."""
        with self._guard:
            now = time.monotonic()
            if now - self._facts.monotonic >= PAUSE:
                self._facts = self._read(now)
            facts = self._facts
        mapped = sum(ring.counters.grants_mapped for disk in disks for ring in disk.rings)
        return replace(facts, grants_mapped=mapped)

    def _read(self, now: float) -> EngineFacts:
        threads = read_threads(self._proc)
        spent = os.times()
        return EngineFacts(
            monotonic=now,
            pid=os.getpid(),
            uptime=now - self._started,
            threads=threads,
            cpu_seconds=spent.user + spent.system,
            wakeups=sum(thread.wakeups for thread in threads),
            resident_bytes=_resident(self._proc),
            descriptors=len(_names(f"{self._proc}/fd")),
            grant_budget=self._grant_budget,
        )


def read_threads(proc: str) -> tuple[ThreadFacts, ...]:
    """The threads that are alive, by their age; one that ends meanwhile is left out."""
    python = {thread.native_id: thread.name for thread in threading.enumerate()}
    threads = []
    for name in _names(f"{proc}/task"):
        task = f"{proc}/task/{name}"
        tid = int(name)
        stat = _text(f"{task}/stat")
        if not stat:
            continue
        head, _, tail = stat.rpartition(")")  # the name before it may hold anything
        cpu = sum(map(int, tail.split()[11:13])) / _TICKS
        run = _text(f"{task}/schedstat").split()  # nanoseconds on a CPU, nanoseconds in wait of one, times it got one
        if len(run) == 3 and run[0] != "0":
            cpu = int(run[0]) / 1e9
        threads.append(
            ThreadFacts(
                tid=tid,
                name=python.get(tid) or head.partition("(")[2],
                cpu_seconds=cpu,
                wakeups=int(run[2]) if len(run) == 3 else 0,
            )
        )
    return tuple(sorted(threads, key=lambda thread: thread.tid))


def _resident(proc: str) -> int:
    fields = _text(f"{proc}/statm").split()
    return int(fields[1]) * _PAGE if len(fields) > 1 else 0


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(4096).decode(errors="replace")
    except OSError:
        return ""
