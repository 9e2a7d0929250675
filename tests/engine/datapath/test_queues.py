# SPDX-License-Identifier: MIT
"""Several rings of one disk at once, each in its own thread: what they share, they all see."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.engine.datapath.conftest import IMAGE_BYTES, Serve
from tests.engine.datapath.frontend import whole
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantBudget, GrantMode, IoEngine, Vbd, VbdConfig
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op, Status

QUEUES = 4
SECTORS = IMAGE_BYTES // SECTOR


@pytest.fixture(params=[IoEngine.SYNC, IoEngine.IO_URING, IoEngine.AUTO], ids=lambda io: io.value)
def engine(request: pytest.FixtureRequest) -> IoEngine:
    assert isinstance(request.param, IoEngine)
    return request.param


def together(jobs: Sequence[Callable[[], None]]) -> None:
    """Each in its own thread; raises what the first of them raised."""
    failures: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _load(s: Served, sector: int, sectors: int, rounds: int) -> None:
    """Write and read back a part of the disk that is ours alone, eight requests at a time."""
    chance = random.Random(sector)
    pages = s.front.pages(bytes(24 * PAGE))
    for _ in range(rounds):
        some = chance.sample(pages, 16)
        writes, reads = some[:8], some[8:]
        places = [sector + 8 * n for n in chance.sample(range(sectors // 8), 8)]
        for page in writes:
            s.front.write(page.frame, chance.randbytes(PAGE))
        for op, which in ((Op.WRITE, writes), (Op.READ, reads)):
            requests = [
                s.front.layout.rw(op, i, at, whole([page]))
                for i, (page, at) in enumerate(zip(which, places, strict=True))
            ]
            assert all(response.status == Status.OKAY for response in s.front.do(*requests))
        assert s.front.contents(reads) == s.front.contents(writes)


def test_queues_under_load_share_a_budget(serve: Serve, image: Path, engine: IoEngine) -> None:
    """Each may keep 20 pages and all of them 30; meanwhile the control thread looks, trims and resizes."""
    budget = GrantBudget(30)
    over, looks = 0, 0
    working = threading.Event()
    with image.open("r+b") as file:
        vbd = Vbd(VbdConfig(file.fileno(), SECTORS))
        rings = [
            serve(GrantMode.PERSISTENT, vbd=vbd, budget=budget, persistent_pages=20, idle_trims=1, io=engine)
            for _ in range(QUEUES)
        ]

        def look() -> None:
            nonlocal over, looks
            while not working.is_set():
                over += budget.used > 30
                looks += 1
                rings[looks % QUEUES].server.trim()
                vbd.set_sectors(SECTORS + looks % 2)
                rings[looks % QUEUES].server.counters_now()
                rings[looks % QUEUES].server.trace(limit=4)

        watcher = threading.Thread(target=look)
        watcher.start()
        share = SECTORS // QUEUES
        try:
            together([lambda s=s, n=n: _load(s, n * share, share, 60) for n, s in enumerate(rings)])  # type: ignore[misc]
        finally:
            working.set()
            watcher.join()
        assert over == 0
        for s in rings:
            s.stop()
        kept = [s.counters.grants_mapped for s in rings]
        assert sum(kept) == budget.used <= 30
        assert max(kept) <= 20
        for s in rings:
            s.server.close()
        assert budget.used == 0, "a closed ring keeps nothing"


def test_one_queues_failed_flush_stops_the_writes_of_all(serve: Serve, engine: IoEngine) -> None:
    fd = os.open("/dev/zero", os.O_RDWR)
    try:
        vbd = Vbd(VbdConfig(fd, 1024))
        rings = [serve(vbd=vbd, image=fd, io=engine) for _ in range(QUEUES)]
        pages = [s.front.page() for s in rings]

        def status(n: int, op: int) -> int:
            return rings[n].front.do(rings[n].front.layout.rw(op, 1, 0, whole([pages[n]])))[0].status

        assert [status(n, Op.WRITE) for n in range(QUEUES)] == [Status.OKAY] * QUEUES
        assert rings[2].front.do(rings[2].front.layout.rw(Op.FLUSH_DISKCACHE, 1, 0))[0].status == Status.ERROR
        assert vbd.poisoned == errno.EINVAL
        for op in (Op.WRITE, Op.WRITE_BARRIER, Op.FLUSH_DISKCACHE):
            assert [status(n, op) for n in range(QUEUES)] == [Status.ERROR] * QUEUES
        assert [status(n, Op.READ) for n in range(QUEUES)] == [Status.OKAY] * QUEUES
        assert [s.counters.refused for s in rings] == [3] * QUEUES
        assert [s.counters.io_errors for s in rings] == [0, 0, 1, 0]
    finally:
        os.close(fd)


def test_a_new_size_is_the_size_for_all(serve: Serve, image: Path, engine: IoEngine) -> None:
    with image.open("r+b") as file:
        vbd = Vbd(VbdConfig(file.fileno(), 8))
        rings = [serve(GrantMode.MAP, vbd=vbd, io=engine) for _ in range(QUEUES)]
        pages = [s.front.page() for s in rings]

        def all_answer(status: int) -> None:
            for s, page in zip(rings, pages, strict=True):
                assert s.front.do(s.front.layout.rw(Op.READ, 1, SECTORS - 8, whole([page])))[0].status == status

        all_answer(Status.ERROR)
        vbd.set_sectors(SECTORS)
        all_answer(Status.OKAY)
        assert all(s.front.read(page.frame) == image.read_bytes()[-PAGE:] for s, page in zip(rings, pages, strict=True))
        vbd.set_sectors(SECTORS - 1)
        all_answer(Status.ERROR)
