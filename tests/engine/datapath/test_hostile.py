# SPDX-License-Identifier: MIT
"""Requests no honest guest sends: each gets one answer, an error, and changes nothing."""

from __future__ import annotations

from pathlib import Path

from tests.engine.datapath.conftest import IMAGE_BYTES, Serve
from tests.engine.datapath.frontend import whole
from tests.engine.datapath.layouts import FILL, Segment
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantMode
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op, Status

SECTORS = IMAGE_BYTES // SECTOR
ID = 0x0123_4567_89AB_CDEF


DATA_OPS = (Op.READ, Op.WRITE, Op.WRITE_BARRIER, Op.FLUSH_DISKCACHE)


class Watch:
    """Nothing but the ring page changes, neither in the guest nor in the image; then the ring still works."""

    def __init__(self, s: Served, image: Path) -> None:
        self._s, self._image = s, image
        self._asked: list[str] = []
        self._before = self._look()

    def _look(self) -> tuple[bytes, bytes]:
        front = self._s.front
        return front.memory[(front.ring_frame + 1) * PAGE :], self._image.read_bytes()

    def refused(self, request: bytes, op: int, status: int = Status.ERROR) -> None:
        """One response, an error that is counted once; nothing was mapped or moved."""
        before = self._s.counters
        responses = self._s.front.do(request)
        assert [(r.id, r.op, r.status) for r in responses] == [(ID, op, status)], request.hex()
        after = self._s.counters
        assert after.errors == before.errors + 1
        assert (after.bytes_read, after.bytes_written, after.bytes_discarded) == (0, 0, 0)
        self._asked.append(request.hex())

    def done(self, *, bad: bool = True) -> None:
        """Look at everything once; ``bad``: each request was refused by validation."""
        assert self._asked
        assert self._look() == self._before, f"one of these changed something: {self._asked}"
        counters = self._s.counters
        assert counters.bad_requests == (len(self._asked) if bad else 0)
        assert counters.errors == len(self._asked)


OUTSIDE = [(0, 8), (0, 15), (0, 255), (7, 8), (8, 8), (255, 255), (5, 4), (7, 0), (255, 0)]


def test_sectors_outside_the_page(serve: Serve, image: Path, mode: GrantMode, protocol: str) -> None:
    """Between two good segments, so that in map mode the page's neighbours are the guest's own."""
    s = serve(mode, protocol=protocol)
    good = s.front.pages(bytes(3 * PAGE))
    watch = Watch(s, image)
    for op in DATA_OPS:
        for first, last in OUTSIDE:
            segments = [Segment(good[0].ref), Segment(good[1].ref, first, last), Segment(good[2].ref)]
            watch.refused(s.front.layout.rw(op, ID, 0, segments), op)
    watch.done()
    assert (s.counters.maps, s.counters.copies) == (0, 0)


def test_sectors_outside_the_page_of_an_indirect_request(serve: Serve, image: Path, mode: GrantMode) -> None:
    s = serve(mode)
    good = s.front.pages(bytes(40 * PAGE))
    requests = [
        (op, s.front.indirect(op, ID, 0, [*whole(good[:-1]), Segment(good[-1].ref, first, last)]))
        for op in (Op.READ, Op.WRITE)
        for first, last in OUTSIDE
    ]
    watch = Watch(s, image)
    for op, request in requests:
        watch.refused(request, op)
    watch.done()


BEYOND = [SECTORS - 7, SECTORS, SECTORS + 1, 2**32, 2**55 - 8, 2**55, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 7, 2**64 - 1]


def test_sector_beyond_the_end(serve: Serve, image: Path, mode: GrantMode, protocol: str) -> None:
    """The sum of sector and length wraps to 0 and to 1 for two of them, the byte offset for others."""
    s = serve(mode, protocol=protocol)
    page = s.front.page()
    watch = Watch(s, image)
    for op in DATA_OPS:
        for sector in BEYOND:
            watch.refused(s.front.layout.rw(op, ID, sector, whole([page])), op)
    watch.done()


def test_discard_beyond_the_end(serve: Serve, image: Path, protocol: str) -> None:
    s = serve(protocol=protocol, discard=True)
    watch = Watch(s, image)
    for sector, count in [
        (0, SECTORS + 1),
        (SECTORS - 1, 2),
        (SECTORS + 1, 2**64 - SECTORS),
        (2**64 - 8, 9),
        (2**64 - 1, 1),
        (1, 2**64 - 1),
        (8, 2**64 - 8),
        (0, 2**55),
        (0, 2**63),
        (5, 0),
    ]:
        watch.refused(s.front.layout.discard(ID, sector, count), Op.DISCARD)
    watch.done()


def test_discards_that_were_not_offered(serve: Serve, image: Path) -> None:
    for offered, flags in [(True, 1), (True, 0x81), (True, 0xFF), (False, 0)]:
        s = serve(discard=offered)
        watch = Watch(s, image)
        watch.refused(s.front.layout.discard(ID, 0, 8, flags), Op.DISCARD, Status.EOPNOTSUPP)
        watch.done(bad=False)
        assert s.counters.refused == 1


def test_number_of_segments(serve: Serve, image: Path, mode: GrantMode, protocol: str) -> None:
    s = serve(mode, protocol=protocol)
    pages = s.front.pages(bytes(11 * PAGE))
    watch = Watch(s, image)
    for op in DATA_OPS:
        for count in (0, 12, 13, 255):
            if count or op in (Op.READ, Op.WRITE):  # an empty barrier and an empty flush are honest
                watch.refused(s.front.layout.rw(op, ID, 0, whole(pages), count=count), op)
    watch.done()


def test_number_of_indirect_segments(serve: Serve, image: Path, mode: GrantMode, protocol: str) -> None:
    for limit, counts in [(256, (0, 257, 512, 4096, 65535)), (4096, (4097, 65535)), (0, (1,))]:
        s = serve(mode, protocol=protocol, max_segments=limit)
        page = s.front.page()
        described = [s.front.page(Segment(page.ref).pack() * 512).ref for _ in range(8)]
        watch = Watch(s, image)
        for op in (Op.READ, Op.WRITE):
            for count in counts:
                watch.refused(s.front.layout.indirect(op, ID, 0, count, described), op)
        watch.done()
        assert (s.counters.maps, s.counters.copies) == (0, 0)


def test_operation_inside_an_indirect_request(serve: Serve, image: Path, mode: GrantMode) -> None:
    s = serve(mode, discard=True)
    described = s.front.page(Segment(s.front.page().ref).pack())
    watch = Watch(s, image)
    for inner in (2, 3, 4, 5, 6, 7, 255):
        watch.refused(s.front.layout.indirect(inner, ID, 0, 1, [described.ref]), inner)
    watch.done()


def test_unknown_operation(serve: Serve, image: Path, mode: GrantMode, protocol: str) -> None:
    s = serve(mode, protocol=protocol)
    pages = s.front.pages(bytes(11 * PAGE))
    watch = Watch(s, image)
    for op in (4, 7, 8, 100, 255):
        for count in (0, 1, 11, 12, 255):
            watch.refused(s.front.layout.rw(op, ID, 0, whole(pages), count=count), op)
    watch.done()


def test_read_only_disk_is_never_written(serve: Serve, image: Path, mode: GrantMode, protocol: str) -> None:
    """XSA-142, CVE-2013-2140.  The descriptor itself could write: what refuses is the check of each request."""
    s = serve(mode, protocol=protocol, readonly=True, discard=True)
    layout = s.front.layout
    page = s.front.page(b"w" * PAGE)
    write = s.front.indirect(Op.WRITE, ID, 0, whole([page]))
    watch = Watch(s, image)
    for op in (Op.WRITE, Op.WRITE_BARRIER, Op.FLUSH_DISKCACHE):
        watch.refused(layout.rw(op, ID, 0, whole([page])), op)
    watch.refused(layout.discard(ID, 0, 8), Op.DISCARD)
    watch.refused(write, Op.WRITE)
    watch.done(bad=False)
    assert (s.counters.refused, s.counters.maps, s.counters.copies) == (5, 0, 0)
    flush, read = layout.rw(Op.FLUSH_DISKCACHE, 1, 0), layout.rw(Op.READ, 2, 0, whole([page]))
    assert [r.status for r in s.front.do(flush, read)] == [0, 0]
    assert s.front.read(page.frame) == image.read_bytes()[:PAGE]


def test_response_leaks_nothing(serve: Serve, mode: GrantMode, protocol: str) -> None:
    """XSA-216: the padding is zero, and what lies behind the response in the slot is the guest's own."""
    s = serve(mode, protocol=protocol)
    layout = s.front.layout
    requests = [
        layout.rw(Op.READ, ID, 0, whole([s.front.page()])),
        layout.rw(Op.WRITE, ID, 0, []),
        layout.rw(9, ID, 0),
        layout.discard(ID, 0, 8),
        layout.indirect(Op.WRITE, ID, 0, 70, [1]),
    ]
    for number, request in enumerate(requests):
        (response,) = s.front.do(request)
        assert not any(response.padding), response
        at = s.front.slot_at(number)
        behind = s.front.memory[at + layout.response : at + layout.slot]
        assert behind == request[layout.response :]
    assert FILL in requests[1], "the slots held something that could leak"


def test_one_guests_garbage_does_not_stop_another(serve: Serve) -> None:
    bad, good = serve(), serve()
    bad.front.set_index(0, 1 << 20)
    bad.front.kick()
    assert bad.ended().name == "OVERFLOW"
    page = good.front.page()
    assert good.front.do(good.front.layout.rw(Op.READ, 1, 0, whole([page])))[0].status == 0
