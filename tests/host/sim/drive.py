# SPDX-License-Identifier: MIT
"""Small words to drive guests and their backends with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.host.sim.oracle import Oracle
from usblkback_tui.engine.host.sim import DiskReport, SimGuest

MakeGuest = Callable[..., SimGuest]
Attach = Callable[..., Oracle]


def wait(condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.002)


def worked(guest: SimGuest, requests: int = 150) -> DiskReport:
    """Wait until it has done so much more."""
    before = guest.disk("xvda")
    done = before.reads + before.writes
    wait(lambda: guest.disk("xvda").reads + guest.disk("xvda").writes >= done + requests, f"{requests} requests")
    return guest.disk("xvda")


def full(guest: SimGuest, oracle: Oracle, depth: int) -> None:
    """Hold the backend, between two requests, until all the depth is under way and none of it is answered."""
    oracle.hold.set()
    with oracle.lock:  # what was taken before is answered now
        pass
    wait(lambda: sum(queue.waiting for queue in oracle.queues) == depth, "a full depth on the rings")
    wait(lambda: guest.disk("xvda").in_flight == depth, "a full depth under way")


@contextmanager
def opened(image: Path) -> Iterator[int]:
    """The image, to change it behind everybody's back."""
    fd = os.open(image, os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


def flip(image: Path, where: int) -> None:
    """One bit of the byte at ``where`` changes."""
    with opened(image) as fd:
        (byte,) = os.pread(fd, 1, where)
        os.pwrite(fd, bytes([byte ^ 1]), where)
