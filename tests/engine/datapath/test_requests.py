# SPDX-License-Identifier: MIT
"""Every operation, in every grant mode and both layouts, compared with the file byte by byte."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.engine.datapath.conftest import IMAGE_BYTES, Serve
from tests.engine.datapath.frontend import whole
from tests.engine.datapath.layouts import Response, Segment
from usblkback_tui.engine.datapath.ring import GrantMode
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op, Status

ID = 0xFEDC_BA98_7654_3210


def answered(op: int, status: int = Status.OKAY, ident: int = ID, protocol: str = "x86_64-abi") -> list[Response]:
    """The one response there must be, padding and all."""
    return [Response(ident, op, status, bytes(5 if protocol == "x86_64-abi" else 1))]


def noise(length: int) -> bytes:
    return random.Random(length).randbytes(length)


@pytest.mark.parametrize("pages", [1, 2, 11])
def test_read_brings_the_files_bytes(serve: Serve, image: Path, mode: GrantMode, protocol: str, pages: int) -> None:
    s = serve(mode, protocol=protocol)
    into = s.front.pages(b"x" * PAGE * pages)
    assert s.front.do(s.front.layout.rw(Op.READ, ID, 40, whole(into))) == answered(Op.READ, protocol=protocol)
    assert s.front.contents(into) == image.read_bytes()[40 * SECTOR :][: pages * PAGE]
    assert (s.counters.reads, s.counters.bytes_read) == (1, pages * PAGE)


@pytest.mark.parametrize("pages", [1, 2, 11])
def test_write_changes_these_sectors_and_no_others(
    serve: Serve, image: Path, mode: GrantMode, protocol: str, pages: int
) -> None:
    s = serve(mode, protocol=protocol)
    before = image.read_bytes()
    data = noise(pages * PAGE)
    source = s.front.pages(data)
    assert s.front.do(s.front.layout.rw(Op.WRITE, ID, 3, whole(source))) == answered(Op.WRITE, protocol=protocol)
    assert image.read_bytes() == before[: 3 * SECTOR] + data + before[3 * SECTOR + len(data) :]
    assert s.front.contents(source) == data
    assert (s.counters.writes, s.counters.bytes_written) == (1, len(data))


def test_segments_of_some_sectors_touch_only_those(serve: Serve, image: Path, mode: GrantMode, protocol: str) -> None:
    s = serve(mode, protocol=protocol)
    disk = image.read_bytes()
    parts = [(0, 0), (7, 7), (2, 5), (0, 7), (3, 3)]
    into = s.front.pages(b"\xaa" * PAGE * len(parts))
    segments = [Segment(page.ref, *part) for page, part in zip(into, parts, strict=True)]
    s.front.do(s.front.layout.rw(Op.READ, ID, 100, segments))
    at = 100 * SECTOR
    for page, (first, last) in zip(into, parts, strict=True):
        length = (last - first + 1) * SECTOR
        expected = bytearray(b"\xaa" * PAGE)
        expected[first * SECTOR : first * SECTOR + length] = disk[at : at + length]
        assert s.front.read(page.frame) == expected
        at += length
    s.front.do(s.front.layout.rw(Op.WRITE, ID, 1500, segments))
    moved = disk[100 * SECTOR : at]
    assert image.read_bytes() == disk[: 1500 * SECTOR] + moved + disk[1500 * SECTOR + len(moved) :]


def test_last_sector_of_the_disk(serve: Serve, image: Path, mode: GrantMode) -> None:
    s = serve(mode)
    page = s.front.page()
    last = IMAGE_BYTES // SECTOR - 1
    assert s.front.do(s.front.layout.rw(Op.READ, ID, last, [Segment(page.ref, 7, 7)])) == answered(Op.READ)
    assert s.front.read(page.frame, 7 * SECTOR) == image.read_bytes()[-SECTOR:]


def test_same_page_twice_in_a_request(serve: Serve, image: Path, mode: GrantMode) -> None:
    s = serve(mode)
    page = s.front.page()
    halves = [Segment(page.ref, 4, 7), Segment(page.ref, 0, 3)]
    assert s.front.do(s.front.layout.rw(Op.READ, ID, 0, halves)) == answered(Op.READ)
    disk = image.read_bytes()
    assert s.front.read(page.frame) == disk[2048:4096] + disk[:2048]


@pytest.mark.parametrize("op", [Op.WRITE_BARRIER, Op.FLUSH_DISKCACHE])
def test_barrier_and_flush_write_the_data_they_carry(
    serve: Serve, image: Path, mode: GrantMode, protocol: str, op: Op
) -> None:
    s = serve(mode, protocol=protocol)
    data = noise(2 * PAGE)
    request = s.front.layout.rw(op, ID, 64, whole(s.front.pages(data)))
    assert s.front.do(request) == answered(op, protocol=protocol)
    assert image.read_bytes()[64 * SECTOR :][: len(data)] == data
    assert (s.counters.writes, s.counters.flushes, s.counters.bytes_written) == (1, 0, len(data))


@pytest.mark.parametrize("op", [Op.WRITE_BARRIER, Op.FLUSH_DISKCACHE])
@pytest.mark.parametrize("sector", [0, 2**64 - 1])
def test_empty_barrier_and_flush_ignore_the_sector(
    serve: Serve, image: Path, mode: GrantMode, protocol: str, op: Op, sector: int
) -> None:
    s = serve(mode, protocol=protocol)
    before = image.read_bytes()
    assert s.front.do(s.front.layout.rw(op, ID, sector)) == answered(op, protocol=protocol)
    assert image.read_bytes() == before
    assert (s.counters.flushes, s.counters.writes, s.counters.errors) == (1, 0, 0)


def test_discard_makes_a_hole(serve: Serve, image: Path, mode: GrantMode, protocol: str) -> None:
    s = serve(mode, protocol=protocol, discard=True)
    before, blocks = image.read_bytes(), image.stat().st_blocks
    request = s.front.layout.discard(ID, 256, 1024)
    assert s.front.do(request) == answered(Op.DISCARD, protocol=protocol)
    start, end = 256 * SECTOR, 1280 * SECTOR
    assert image.read_bytes() == before[:start] + bytes(end - start) + before[end:]
    assert blocks - image.stat().st_blocks == 1024
    with image.open("rb") as file:
        assert os.lseek(file.fileno(), start, os.SEEK_HOLE) == start
        assert os.lseek(file.fileno(), start, os.SEEK_DATA) == end
    assert (s.counters.discards, s.counters.bytes_discarded) == (1, 1024 * SECTOR)


@pytest.mark.parametrize("segments", [1, 12, 32, 255, 256])
def test_indirect(serve: Serve, image: Path, mode: GrantMode, protocol: str, segments: int) -> None:
    s = serve(mode, protocol=protocol)
    data = noise(segments * PAGE)
    source = s.front.pages(data)
    write = s.front.indirect(Op.WRITE, ID, 0, whole(source))
    assert s.front.do(write) == answered(Op.WRITE, protocol=protocol), "the operation inside, not INDIRECT"
    assert image.read_bytes()[: len(data)] == data
    into = s.front.pages(b"x" * len(data))
    read = s.front.indirect(Op.READ, ID, 0, whole(into))
    assert s.front.do(read) == answered(Op.READ, protocol=protocol)
    assert s.front.contents(into) == data
    assert s.counters.indirect == 2


def test_indirect_over_two_pages_of_segments(serve: Serve, image: Path, mode: GrantMode) -> None:
    s = serve(mode, max_segments=600)
    into = s.front.pages(b"x" * 40 * PAGE)
    segments = [Segment(into[i % 40].ref, i % 8, i % 8) for i in range(513)]
    assert s.front.do(s.front.indirect(Op.READ, ID, 7, segments)) == answered(Op.READ)
    disk = image.read_bytes()
    for i, segment in list(enumerate(segments))[-40:]:
        at = (7 + i) * SECTOR
        assert s.front.read(into[i % 40].frame, segment.first * SECTOR, SECTOR) == disk[at : at + SECTOR]


def test_a_thousand_requests_each_answered_once(serve: Serve, image: Path, mode: GrantMode, protocol: str) -> None:
    s = serve(mode, protocol=protocol)
    chance = random.Random(5)
    disk = bytearray(image.read_bytes())
    pages = s.front.pages(noise(32 * PAGE))
    todo, idents = [], []
    for i in range(1000):
        page, sector = pages[i % 32], chance.randrange(IMAGE_BYTES // SECTOR - 8)
        op = chance.choice([Op.WRITE, Op.READ])
        ident = chance.getrandbits(64)
        todo.append((op, page, sector, s.front.layout.rw(op, ident, sector, [Segment(page.ref)])))
        idents.append(ident)
    for i in range(0, 1000, 32):
        batch = todo[i : i + 32]
        responses = s.front.do(*(request for *_, request in batch))
        assert responses == [
            Response(ident, op, 0, responses[0].padding) for ident, (op, *_) in zip(idents[i:], batch, strict=False)
        ]
        for op, page, sector, _ in batch:
            at = sector * SECTOR
            if op == Op.WRITE:
                disk[at : at + PAGE] = s.front.read(page.frame)
            else:
                assert s.front.read(page.frame) == disk[at : at + PAGE]
    assert s.counters.responses == 1000
    assert s.counters.errors == 0


def test_resize_moves_the_bound(serve: Serve) -> None:
    s = serve(sectors=8)
    request = s.front.layout.rw(Op.READ, ID, 8, whole([s.front.page()]))
    assert s.front.do(request) == answered(Op.READ, Status.ERROR)
    s.vbd.set_sectors(16)
    assert s.front.do(request) == answered(Op.READ)
    s.vbd.set_sectors(15)
    assert s.front.do(request) == answered(Op.READ, Status.ERROR)
