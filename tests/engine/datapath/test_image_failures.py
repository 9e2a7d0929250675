# SPDX-License-Identifier: MIT
"""The image fails.  Each failure is a real one of the kernel: devices, limits and files that behave so by nature."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.engine.datapath.conftest import IMAGE_BYTES, Serve
from tests.engine.datapath.frontend import whole
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantMode, IoEngine
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op, Status

Opener = Callable[..., int]


@pytest.fixture(params=[IoEngine.SYNC, IoEngine.IO_URING, IoEngine.MMAP, IoEngine.AUTO], ids=lambda io: io.value)
def serve(serve: Serve, request: pytest.FixtureRequest) -> Serve:
    """Whatever moves the bytes, a failure is answered the same."""
    return partial(serve, io=request.param)


@pytest.fixture
def descriptor() -> Iterator[Opener]:
    """``descriptor(path, flags)``: an open descriptor until the test's end, rings closed first."""
    opened: list[int] = []

    def make(path: str | Path, flags: int = os.O_RDWR) -> int:
        opened.append(os.open(path, flags | os.O_CLOEXEC))
        return opened[-1]

    yield make
    for fd in opened:
        os.close(fd)


def one(s: Served, op: int, sector: int = 0, pages: int = 1) -> int:
    """One request; its status."""
    some = whole(s.front.pages(b"d" * pages * PAGE))
    request = s.front.layout.rw(op, 1, sector, some) if pages <= 11 else s.front.indirect(op, 1, sector, some)
    return s.front.do(request)[0].status


def failed(s: Served, number: int, times: int = 1) -> None:
    assert (s.counters.io_errors, s.counters.errors, s.vbd.last_io_errno) == (times, times, number)
    assert (s.counters.bad_requests, s.counters.map_errors) == (0, 0)


def test_no_space_left(descriptor: Opener, serve: Serve, mode: GrantMode) -> None:
    s = serve(mode, image=descriptor("/dev/full"), sectors=100)
    assert one(s, Op.WRITE) == Status.ERROR
    failed(s, errno.ENOSPC)
    assert one(s, Op.READ) == 0
    assert s.vbd.poisoned == 0
    assert one(s, Op.WRITE) == Status.ERROR, "tried again, not refused"
    failed(s, errno.ENOSPC, 2)


def test_descriptor_that_cannot_write(descriptor: Opener, serve: Serve, image: Path, mode: GrantMode) -> None:
    s = serve(mode, image=descriptor(image, os.O_RDONLY))
    assert one(s, Op.WRITE) == Status.ERROR
    failed(s, errno.EBADF)
    assert one(s, Op.READ) == 0


@pytest.mark.parametrize("pages", [1, 5, 60])
def test_file_truncated_under_us(serve: Serve, image: Path, mode: GrantMode, pages: int) -> None:
    """The first sectors are there, the rest is not: an error, and a copying backend shows the guest nothing of it."""
    s = serve(mode)
    os.truncate(image, 100 * SECTOR)
    into = s.front.pages(b"g" * pages * PAGE)
    segments = whole(into)
    at = 100 - 3
    request = s.front.layout.rw(Op.READ, 1, at, segments) if pages <= 11 else s.front.indirect(Op.READ, 1, at, segments)
    assert s.front.do(request)[0].status == Status.ERROR
    failed(s, errno.EIO)
    if mode is GrantMode.COPY:
        assert s.front.contents(into) == b"g" * pages * PAGE
    assert one(s, Op.READ, 100 - 8) == 0


@pytest.mark.parametrize("pages", [1, 5, 60])
def test_read_that_fails(descriptor: Opener, serve: Serve, mode: GrantMode, pages: int) -> None:
    """Nothing is mapped at the start of a process."""
    s = serve(mode, image=descriptor("/proc/self/mem", os.O_RDONLY), sectors=1024)
    assert one(s, Op.READ, 0, pages) == Status.ERROR
    failed(s, errno.EIO)
    assert s.vbd.poisoned == 0


@pytest.mark.parametrize("serve", [IoEngine.SYNC, IoEngine.IO_URING], indirect=True, ids=lambda io: io.value)
def test_file_size_limit_in_the_midst_of_a_write(serve: Serve, image: Path, mode: GrantMode) -> None:
    """The kernel writes what fits; what is left is tried and fails.  Stores to a mapping have no such limit."""
    s = serve(mode)
    before = image.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = IMAGE_BYTES - 5 * SECTOR
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        result = one(s, Op.WRITE, IMAGE_BYTES // SECTOR - 16, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result == Status.ERROR
    failed(s, errno.EFBIG)
    assert image.read_bytes() == before[: -16 * SECTOR] + b"d" * 11 * SECTOR + before[-5 * SECTOR :]
    assert one(s, Op.WRITE, IMAGE_BYTES // SECTOR - 16, 2) == 0


@pytest.mark.parametrize("op", [Op.FLUSH_DISKCACHE, Op.WRITE_BARRIER])
@pytest.mark.parametrize("pages", [0, 2])
def test_failed_flush_poisons(descriptor: Opener, serve: Serve, mode: GrantMode, op: Op, pages: int) -> None:
    """/dev/zero reads and writes but cannot be flushed.  Linux drops flushes after such an answer: writes must fail."""
    s = serve(mode, image=descriptor("/dev/zero"), sectors=100, discard=True)
    assert one(s, Op.WRITE) == 0
    assert one(s, op, 0, pages) == Status.ERROR
    failed(s, errno.EINVAL)
    assert s.vbd.poisoned == errno.EINVAL
    assert s.counters.bytes_written == PAGE, "the data behind a failed flush is not written"
    assert s.counters.flushes == 0
    moved = s.counters.maps + s.counters.copies
    for refused in (Op.WRITE, Op.FLUSH_DISKCACHE, Op.WRITE_BARRIER):
        assert one(s, refused) == Status.ERROR
    assert one(s, Op.FLUSH_DISKCACHE, 0, 0) == Status.ERROR
    assert one(s, Op.WRITE, 0, 12) == Status.ERROR
    assert s.front.do(s.front.layout.discard(1, 0, 8))[0].status == Status.ERROR
    assert s.counters.refused == 6
    assert s.counters.maps + s.counters.copies == moved
    assert s.counters.io_errors == 1
    assert one(s, Op.READ) == 0
    assert one(s, Op.READ, 0, 12) == 0


def test_poison_outlives_a_stop(descriptor: Opener, serve: Serve) -> None:
    s = serve(image=descriptor("/dev/zero"), sectors=100)
    assert one(s, Op.FLUSH_DISKCACHE, 0, 0) == Status.ERROR
    s.stop()
    s.start()
    assert one(s, Op.WRITE) == Status.ERROR
    assert s.vbd.poisoned == errno.EINVAL


def test_discard_that_the_image_cannot_do(descriptor: Opener, serve: Serve) -> None:
    """A guest that is told so stops asking; that is no reason to distrust the image."""
    s = serve(image=descriptor("/proc/self/comm"), sectors=100, discard=True)
    assert s.front.do(s.front.layout.discard(1, 0, 8))[0].status == Status.EOPNOTSUPP
    failed(s, errno.EOPNOTSUPP)
    assert s.vbd.poisoned == 0
    s = serve(image=descriptor("/dev/zero"), sectors=100, discard=True)
    assert s.front.do(s.front.layout.discard(1, 0, 8))[0].status == Status.ERROR
    failed(s, errno.ENODEV)
    assert one(s, Op.WRITE) == 0
