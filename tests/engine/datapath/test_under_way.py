# SPDX-License-Identifier: MIT
"""Requests under way in io_uring, held there as long as a test likes: the image is an empty pipe.

A read of it ends when we write its bytes, in the order they were asked for; flushing it fails, as with any pipe.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.datapath.conftest import Serve
from tests.engine.datapath.frontend import REQ_PROD, RSP_EVENT, Page, whole
from tests.engine.datapath.layouts import Response, Segment
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import End, GrantMode, IoEngine
from usblkback_tui.engine.host.sim import Hypervisor
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op, Status


def until(true: Callable[[], bool]) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.001)


class Pipe:
    """A ring whose image is a pipe."""

    def __init__(self, serve: Serve, pipe: int, mode: GrantMode = GrantMode.COPY, **config: Any) -> None:
        self.fd = pipe
        config = {"io": IoEngine.IO_URING, "sectors": 1 << 20, "response_batch": 1, **config}
        self.s: Served = serve(mode, image=pipe, running=False, **config)
        if self.s.server.io_engine is not IoEngine.IO_URING:
            pytest.skip("this kernel has no io_uring for us")

    def read(self, ident: int, page: Page | None = None) -> bytes:
        """A request for one sector."""
        return self.s.front.layout.rw(Op.READ, ident, 0, [Segment((page or self.s.front.page()).ref, 0, 0)])

    def start(self, *requests: bytes, taken: int) -> None:
        """Put requests on the ring, and wait until so many of them are taken off it."""
        self.s.front.push(*requests)
        self.s.start()
        self.until_taken(taken)

    def until_taken(self, count: int) -> None:
        until(lambda: self.s.server.indices().req_cons >= count)
        assert self.s.server.indices().req_cons == count

    def end(self) -> None:
        """Stop, and end what is under way: for a test that failed, so that it ends too."""
        look = select.poll()
        look.register(self.fd, select.POLLOUT)
        self.s.server.stop()
        while self.s.running:
            if look.poll(1):
                os.write(self.fd, bytes(SECTOR))

    def give(self, sectors: int = 1) -> None:
        """The bytes of so many reads."""
        for _ in range(sectors):
            assert os.write(self.fd, b"p" * SECTOR) == SECTOR


Piped = Callable[..., Pipe]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    yield fd
    os.close(fd)


@pytest.fixture
def piped(pipe: int, serve: Serve) -> Iterator[Piped]:
    """``piped(mode, ...)``: a ring over the pipe."""
    made: list[Pipe] = []

    def make(*args: Any, **config: Any) -> Pipe:
        made.append(Pipe(serve, pipe, *args, **config))
        return made[-1]

    yield make
    for p in made:
        p.end()


def test_a_request_waits_without_the_ring_waiting_for_it(piped: Piped, mode: GrantMode) -> None:
    p = piped(mode)
    pages = [p.s.front.page() for _ in range(3)]
    p.start(*(p.read(i, page) for i, page in enumerate(pages)), p.s.front.layout.rw(99, 9, 0), taken=4)
    assert [r.id for r in p.s.front.collect(1)] == [9], "refused at once, while the others wait"
    p.give(3)
    assert {(r.id, r.status) for r in p.s.front.collect(3)} == {(0, 0), (1, 0), (2, 0)}
    assert all(p.s.front.read(page.frame, 0, SECTOR) == b"p" * SECTOR for page in pages)


@pytest.mark.parametrize("op", [Op.WRITE_BARRIER, Op.FLUSH_DISKCACHE])
def test_what_must_be_alone_waits_for_all_and_all_wait_for_it(piped: Piped, mode: GrantMode, op: Op) -> None:
    """Nothing but our bytes can end the reads before it, and those after it would find theirs there at once."""
    p = piped(mode)
    alone = p.s.front.layout.rw(op, 2, 0, whole(p.s.front.pages(bytes(PAGE))))
    p.start(p.read(0), p.read(1), alone, p.read(3), taken=3)
    assert p.s.front.take() == []
    p.give(3)
    responses = p.s.front.collect(4)
    assert {r.id for r in responses[:2]} == {0, 1}
    assert [(r.id, r.op, r.status) for r in responses[2:]] == [(2, op, Status.ERROR), (3, Op.READ, 0)]
    assert p.s.vbd.poisoned == errno.EINVAL


def test_an_empty_barrier_waits_too_and_an_empty_flush_does_not(piped: Piped) -> None:
    """A flush covers what was answered before it; a barrier all that was asked for before it."""
    p = piped()
    p.start(p.read(0), p.s.front.layout.rw(Op.WRITE_BARRIER, 1, 0), taken=2)
    p.give()
    assert [(r.id, r.status) for r in p.s.front.collect(2)] == [(0, 0), (1, Status.ERROR)]
    p = piped()
    p.start(p.read(0), p.s.front.layout.rw(Op.FLUSH_DISKCACHE, 1, 0), taken=2)
    assert [(r.id, r.status) for r in p.s.front.collect(1)] == [(1, Status.ERROR)]
    p.give()
    assert [(r.id, r.status) for r in p.s.front.collect(1)] == [(0, 0)]


def test_a_barrier_that_waited_for_a_failed_flush_writes_nothing(serve: Serve) -> None:
    zero = os.open("/dev/zero", os.O_RDWR)
    try:
        s = serve(image=zero, sectors=100, io=IoEngine.IO_URING, running=False)
        layout = s.front.layout
        s.front.push(
            layout.rw(Op.FLUSH_DISKCACHE, 1, 0), layout.rw(Op.WRITE_BARRIER, 2, 0, whole(s.front.pages(bytes(PAGE))))
        )
        s.start()
        assert [(r.id, r.status) for r in s.front.collect(2)] == [(1, Status.ERROR), (2, Status.ERROR)]
        assert (s.counters.io_errors, s.counters.refused) == (1, 1), "the image is asked no second time"
    finally:
        os.close(zero)


def test_more_requests_than_the_engine_takes(piped: Piped, mode: GrantMode) -> None:
    p = piped(mode, ring_pages=16, waits=False)
    assert p.s.server.slots == 512
    page = p.s.front.page()
    p.start(*(p.read(i, page) for i in range(500)), p.s.front.layout.rw(99, 1000, 0), taken=128)
    assert p.s.front.take() == []
    responses: list[Response] = []

    def come() -> list[Response]:
        responses.extend(p.s.front.take())
        return responses

    for given in range(1, 501):
        p.give()
        until(lambda: len(come()) >= given)  # noqa: B023
    until(lambda: len(come()) == 501)
    assert {r.id for r in responses} == {*range(500), 1000}
    assert sum(r.status for r in responses) == Status.ERROR


def test_pages_under_way_are_bounded(piped: Piped) -> None:
    """Two of the largest requests are 8192 pages; what stands behind them is looked at when one has ended."""
    p = piped(max_segments=4096, ring_pages=16)
    page = p.s.front.page()
    described = [p.s.front.page(Segment(page.ref, 0, 0).pack() * 512).ref for _ in range(8)]
    large = [p.s.front.layout.indirect(Op.READ, i, 0, 4096, described) for i in range(2)]
    p.start(*large, p.s.front.layout.rw(99, 7, 0), taken=2)
    assert p.s.front.take() == []
    p.give()  # too little: the rest is an error, as a pipe has no places to read it from
    responses = p.s.front.collect(2)
    assert responses[0].id in (0, 1)
    p.give()
    responses += p.s.front.collect(1)
    assert {r.id for r in responses} == {0, 1, 7}
    assert {r.status for r in responses} == {Status.ERROR}


@pytest.mark.parametrize("keep", [0, 100])
def test_stop_answers_what_is_under_way(piped: Piped, mode: GrantMode, keep: int) -> None:
    p = piped(mode, persistent_pages=keep)
    p.start(*(p.read(i) for i in range(20)), taken=20)
    p.s.server.stop()
    p.s.front.submit(p.read(20))
    assert p.s.ends == [], "it cannot end while the image uses the guest's pages"
    p.give(20)
    assert p.s.ended() == End.STOPPED
    assert {r.id for r in p.s.front.take()} == set(range(20))
    p.s.start()
    p.give()
    assert [r.id for r in p.s.front.collect(1)] == [20], "the next run takes what came after the stop"


@pytest.mark.parametrize("why", [End.OVERFLOW, End.NOTIFY, End.WAIT])
def test_giving_up_with_requests_under_way(piped: Piped, mode: GrantMode, why: End) -> None:
    """The image still works on the guest's pages: they are given back when it has finished, and only then."""
    failing = False

    def may_fail(real: Any, *args: Any) -> Any:
        if failing:
            ctypes.set_errno(errno.EIO)
            return -1
        return real(*args)

    hooks = {End.OVERFLOW: {}, End.NOTIFY: {"notify": may_fail}, End.WAIT: {"pending": may_fail}}[why]
    p = piped(mode, hooks=hooks, persistent_pages=0)
    alone = p.s.front.layout.rw(Op.WRITE_BARRIER, 3, 0, whole(p.s.front.pages(bytes(PAGE))))
    p.start(*(p.read(i) for i in range(3)), taken=3)
    failing = True
    if why is End.OVERFLOW:
        p.s.front.set_index(REQ_PROD, 1 << 20)
    elif why is End.NOTIFY:
        p.s.front.push(p.s.front.layout.rw(99, 9, 0), alone)
        p.s.front.set_index(RSP_EVENT, p.s.front.cons + 1)
    p.s.front.kick()
    assert p.s.ends == [], "it cannot end while the image uses the guest's pages"
    p.give(3)
    assert p.s.ended() == why
    assert p.s.domain.mapped == 1
    assert p.s.counters.grants_mapped == 0


def test_an_event_that_was_taken_is_not_asked_for_again(piped: Piped) -> None:
    """Where waiting and asking are one call, it would sleep then, and nobody would reap what the image did."""
    would_sleep = 0

    def pending(real: Any, *args: Any) -> Any:
        nonlocal would_sleep
        if not look.poll(0):
            would_sleep += 1
        return real(*args)

    p = piped(hooks={"pending": pending})
    look = select.poll()
    look.register(p.s.channel.ops.fd, select.POLLIN)
    p.s.start()
    for i in range(100):
        p.s.front.submit(p.read(i))
        p.until_taken(i + 1)
        p.give()
        assert [r.id for r in p.s.front.collect(1)] == [i]
        time.sleep(0.001)  # for the ring to sleep on the channel alone, which is what makes the difference
    assert would_sleep == 0


def test_a_closed_ring_has_let_go_of_the_image(hypervisor: Hypervisor, image: Path) -> None:
    """Its lock can be taken the moment we close it: the kernel ends an io_uring later than that."""
    for _ in range(5):
        fd = os.open(image, os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with Served(hypervisor, fd, io=IoEngine.IO_URING) as s:
            request = s.front.layout.rw(Op.READ, 1, 0, whole([s.front.page()]))
            assert s.front.do(request)[0].status == 0
        os.close(fd)
