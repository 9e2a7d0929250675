# SPDX-License-Identifier: MIT
"""How pages are reached: the persistent cache and its budget, pages that cannot be reached, and the books."""

from __future__ import annotations

import ctypes
import random
from pathlib import Path
from typing import Any

import pytest

from tests.engine.datapath.conftest import Serve
from tests.engine.datapath.frontend import READING, WRITING, Page
from tests.engine.datapath.layouts import Segment
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantMode
from usblkback_tui.protocol.blkif import PAGE, Op, Status

PERSISTENT, COPY, MAP = GrantMode.PERSISTENT, GrantMode.COPY, GrantMode.MAP


def status(s: Served, op: int, pages: list[Page] | list[int], sector: int = 0) -> int:
    """Do one request over whole pages, or references."""
    segments = [Segment(page if isinstance(page, int) else page.ref) for page in pages]
    request = (
        s.front.layout.rw(op, 1, sector, segments) if len(segments) <= 11 else s.front.indirect(op, 1, sector, segments)
    )
    return s.front.do(request)[0].status


# The persistent cache ------------------------------------------------------------------------------------------------


def test_persistent_pages_are_mapped_once(serve: Serve) -> None:
    s = serve(PERSISTENT)
    pages = s.front.pages(bytes(8 * PAGE))
    for _ in range(20):
        assert status(s, Op.WRITE, pages) == status(s, Op.READ, pages) == 0
    assert (s.counters.maps, s.counters.grants_mapped, s.counters.copies) == (8, 8, 0)
    assert all(s.front.in_use(page.ref) == READING | WRITING for page in pages), "writable: reads will need it"


@pytest.mark.parametrize("budget", [0, 1, 11, 12])
def test_budget_is_kept_between_requests(serve: Serve, image: Path, budget: int) -> None:
    s = serve(PERSISTENT, persistent_pages=budget)
    chance = random.Random(budget)
    pages = s.front.pages(bytes(40 * PAGE))
    for _ in range(100):
        some = chance.sample(pages, chance.randint(1, 11))
        sector = chance.randrange(1000)
        assert status(s, Op.READ, some, sector) == 0
        assert s.front.contents(some) == image.read_bytes()[sector * 512 :][: len(some) * PAGE]
        assert s.counters.grants_mapped == s.domain.mapped - 1 <= budget
        assert s.counters.maps == s.counters.unmaps + s.counters.grants_mapped
    if budget:
        assert s.counters.grants_mapped == budget


@pytest.mark.parametrize("budget", [0, 3])
def test_budget_is_kept_by_requests_that_are_refused_later(serve: Serve, budget: int) -> None:
    """The page of segments was mapped and read before the segments could be found bad."""
    s = serve(PERSISTENT, persistent_pages=budget)
    page = s.front.page()
    for _ in range(30):
        bad = s.front.indirect(Op.READ, 1, 0, [Segment(page.ref, 5, 4)])
        assert s.front.do(bad)[0].status == Status.ERROR
        assert s.domain.mapped - 1 <= budget


def test_the_least_recently_used_page_goes_first(serve: Serve) -> None:
    s = serve(PERSISTENT, persistent_pages=3)
    a, b, c, d, e = s.front.pages(bytes(5 * PAGE))

    def kept() -> set[str]:
        return {name for name, page in zip("abcde", (a, b, c, d, e), strict=True) if s.front.in_use(page.ref)}

    for page in (a, b, c, a):
        status(s, Op.READ, [page])
    assert kept() == set("abc")
    status(s, Op.READ, [d])
    assert kept() == set("acd"), "b was used longest ago"
    status(s, Op.READ, [c])
    status(s, Op.READ, [e])
    assert kept() == set("cde")
    status(s, Op.READ, [b, a])
    assert kept() == set("eba"), "of the last request, and the newest before it"


def test_request_larger_than_the_budget(serve: Serve, image: Path) -> None:
    s = serve(PERSISTENT, persistent_pages=5)
    pages = s.front.pages(bytes(200 * PAGE))
    for _ in range(3):
        assert status(s, Op.READ, pages) == 0
        assert s.front.contents(pages) == image.read_bytes()[: 200 * PAGE]
        assert s.counters.grants_mapped == 5


def test_many_references_that_share_hash_chains(serve: Serve, image: Path) -> None:
    s = serve(PERSISTENT, persistent_pages=64)
    chance = random.Random(3)
    pages = s.front.pages(bytes(300 * PAGE))
    for _ in range(200):
        some = chance.sample(pages, 11)
        assert status(s, Op.READ, some, 16) == 0
        assert s.front.contents(some) == image.read_bytes()[8192:][: 11 * PAGE]
    assert s.counters.grants_mapped == 64


def test_a_reference_granted_again_after_eviction_is_mapped_again(serve: Serve, image: Path) -> None:
    s = serve(PERSISTENT, persistent_pages=1)
    first, second = s.front.pages(b"1" * PAGE + b"2" * PAGE)
    status(s, Op.WRITE, [first])
    status(s, Op.WRITE, [second])
    assert not s.front.in_use(first.ref)
    other = s.front.page(b"3" * PAGE)
    s.front.grant(other.frame, ref=first.ref)
    assert status(s, Op.WRITE, [first], 8) == 0
    assert image.read_bytes()[PAGE : 2 * PAGE] == b"3" * PAGE


def test_without_persistence_a_reference_means_what_it_means_now(serve: Serve, image: Path) -> None:
    """Frontends that end access after each request use a reference again for another page."""
    for mode in (COPY, MAP):
        s = serve(mode)
        page = s.front.page(b"old" * 1000)
        status(s, Op.WRITE, [page])
        assert not s.front.in_use(page.ref)
        other = s.front.page(mode.value.encode() * 500)
        s.front.grant(other.frame, ref=page.ref)
        status(s, Op.WRITE, [page])
        assert image.read_bytes()[:PAGE] == s.front.read(other.frame)


# Read-only grants ----------------------------------------------------------------------------------------------------


def test_data_to_be_written_may_be_granted_read_only(serve: Serve, image: Path, mode: GrantMode) -> None:
    s = serve(mode)
    pages = [s.front.page(b"ro%d" % i * 100, readonly=True) for i in range(3)]
    assert status(s, Op.WRITE, pages) == 0
    assert image.read_bytes()[: 3 * PAGE] == s.front.contents(pages)


def test_reading_into_a_read_only_page_fails(serve: Serve, mode: GrantMode) -> None:
    s = serve(mode)
    page = s.front.page(b"mine" * 1024, readonly=True)
    assert status(s, Op.READ, [page]) == Status.ERROR
    assert s.front.read(page.frame) == b"mine" * 1024
    assert (s.counters.map_errors, s.counters.errors) == (1, 1)


def test_page_kept_read_only_is_mapped_again_to_be_written(serve: Serve, image: Path) -> None:
    s = serve(PERSISTENT)
    page = s.front.page(b"x" * PAGE, readonly=True)
    assert status(s, Op.WRITE, [page]) == 0
    assert s.front.in_use(page.ref) == READING
    assert status(s, Op.READ, [page], 8) == Status.ERROR
    s.front.grant(page.frame, ref=page.ref)
    assert status(s, Op.READ, [page], 8) == 0
    assert s.front.read(page.frame) == image.read_bytes()[PAGE : 2 * PAGE]
    assert s.front.in_use(page.ref) == READING | WRITING


def test_pages_are_mapped_no_more_writable_than_needed(serve: Serve) -> None:
    modes: list[int] = []

    def note(real: Any, *args: Any) -> Any:
        modes.append(args[4])
        return real(*args)

    s = serve(MAP, hooks={"map": note})
    pages = s.front.pages(bytes(12 * PAGE))
    status(s, Op.WRITE, pages[:2])
    status(s, Op.READ, pages[:2])
    status(s, Op.WRITE, pages)
    status(s, Op.READ, pages)
    assert modes == [1, 3, 1, 1, 1, 3], "PROT_READ, and PROT_WRITE only to read into; descriptors are only read"


# Pages that cannot be reached ----------------------------------------------------------------------------------------


def _spoil(s: Served, how: str) -> int:
    frame = s.front.page().frame
    match how:
        case "not granted":
            s.front.entry(5000, 0, 0, frame)
            return 5000
        case "for another domain":
            return s.front.grant(frame, domid=7)
        case "no such frame":
            return s.front.grant(1 << 30)
        case _:
            return 0xFFFFFFFF


@pytest.mark.parametrize("how", ["not granted", "for another domain", "no such frame", "beyond the table"])
@pytest.mark.parametrize("op", [Op.READ, Op.WRITE])
def test_unreachable_page_at_element_k(serve: Serve, image: Path, mode: GrantMode, how: str, op: Op) -> None:
    """XSA-361, 362, 365, 371: an error, nothing stays mapped, nothing is written, and life goes on."""
    s = serve(mode, persistent_pages=0)
    before = image.read_bytes()
    for failed, k in enumerate((0, 1, 5, 10), start=1):
        pages = s.front.pages(b"n" * 11 * PAGE)
        refs = [page.ref for page in pages]
        refs[k] = _spoil(s, how)
        assert status(s, op, refs) == Status.ERROR
        assert s.domain.mapped == 1
        assert (s.counters.maps - s.counters.unmaps, s.counters.grants_mapped) == (0, 0)
        assert (s.counters.map_errors, s.counters.errors, s.counters.io_errors) == (failed, failed, 0)
        assert not any(s.front.in_use(page.ref) for page in pages)
        assert image.read_bytes() == before
        assert s.front.read(pages[k].frame) == b"n" * PAGE
    assert status(s, Op.READ, pages) == 0


def test_unreachable_page_of_an_indirect_request(serve: Serve, image: Path, mode: GrantMode) -> None:
    s = serve(mode, persistent_pages=20)
    before = image.read_bytes()
    good = [page.ref for page in s.front.pages(b"n" * 256 * PAGE)]
    for op in (Op.READ, Op.WRITE):
        for k in (0, 100, 255):
            assert status(s, op, [*good[:k], 4999, *good[k + 1 :]]) == Status.ERROR
            assert s.counters.grants_mapped == s.domain.mapped - 1 <= (20 if mode is PERSISTENT else 0)
            assert image.read_bytes() == before


@pytest.mark.parametrize("k", [0, 1])
def test_unreachable_page_of_segments(serve: Serve, image: Path, mode: GrantMode, k: int) -> None:
    s = serve(mode, max_segments=1024, persistent_pages=0)
    before = image.read_bytes()
    page = s.front.page()
    described = [s.front.page(Segment(page.ref, 0, 0).pack() * 512).ref for _ in range(2)]
    described[k] = 4998
    request = s.front.layout.indirect(Op.WRITE, 1, 0, 1024, described)
    assert s.front.do(request)[0].status == Status.ERROR
    assert (s.counters.map_errors, s.counters.indirect, s.domain.mapped) == (1, 0, 1)
    assert image.read_bytes() == before


def test_every_copy_has_its_own_status(serve: Serve, image: Path) -> None:
    """The call succeeds as a whole, and one element says that it failed."""

    class CopySegment(ctypes.Structure):
        _fields_ = (
            ("pointers", ctypes.c_uint64 * 2),
            ("len", ctypes.c_uint16),
            ("flags", ctypes.c_uint16),
            ("status", ctypes.c_int16),
        )

    spoil = -1

    def copy(real: Any, handle: int, count: int, segments: int) -> Any:
        result = real(handle, count, segments)
        if 0 <= spoil < count:
            CopySegment.from_address(segments + spoil * ctypes.sizeof(CopySegment)).status = -3
        return result

    s = serve(COPY, hooks={"copy": copy})
    pages = s.front.pages(bytes(11 * PAGE))
    before = image.read_bytes()
    for op in (Op.READ, Op.WRITE):
        for element in (0, 4, 10):
            spoil = element
            assert status(s, op, pages) == Status.ERROR
    assert image.read_bytes() == before
    spoil = -1
    assert s.counters.map_errors == s.counters.errors == 6
    assert status(s, Op.WRITE, pages) == 0


def test_copy_that_fails_as_a_whole(serve: Serve, image: Path) -> None:
    before = image.read_bytes()
    s = serve(COPY, hooks={"copy": lambda real, *args: -1})
    assert status(s, Op.WRITE, s.front.pages(bytes(PAGE))) == Status.ERROR
    assert status(s, Op.READ, s.front.pages(bytes(PAGE))) == Status.ERROR
    assert image.read_bytes() == before


def test_host_out_of_mappings_makes_the_cache_smaller(serve: Serve) -> None:
    """gntdev refuses a map beyond its limit: pages kept for later make room for those needed now."""
    kept = 0
    limit = 20

    def enter(real: Any, handle: int, count: int, *args: Any) -> Any:
        nonlocal kept
        if kept + count > limit:
            return None
        kept += count
        return real(handle, count, *args)

    def leave(real: Any, *args: Any) -> Any:
        nonlocal kept
        kept -= args[2]
        return real(*args)

    s = serve(PERSISTENT, hooks={"map": enter, "unmap": leave})
    pages = s.front.pages(bytes(100 * PAGE))
    for i in range(0, 88, 11):
        assert status(s, Op.READ, pages[i : i + 11]) == 0
    assert s.counters.grants_mapped == kept <= limit


def test_unmap_that_fails_is_counted(serve: Serve) -> None:
    failed: list[tuple[Any, Any]] = []

    def leave(real: Any, *args: Any) -> Any:
        if not failed:
            failed.append((real, args))
            return -1
        return real(*args)

    s = serve(MAP, hooks={"unmap": leave})
    assert status(s, Op.READ, s.front.pages(bytes(3 * PAGE))) == 0
    assert (s.counters.maps, s.counters.unmaps, s.counters.grants_mapped) == (3, 0, 3)
    assert int(s.server._stats.unmap_errors) == 1
    real, args = failed[0]
    assert real(*args) == 0
    # it was ours to unmap, and we did: let the books of the ring say so too
    s.server._stats.unmaps += 3
    s.server._stats.grants_mapped -= 3


def test_books_after_a_mixed_load(serve: Serve, mode: GrantMode) -> None:
    s = serve(mode, persistent_pages=30)
    chance = random.Random(11)
    pages = s.front.pages(bytes(100 * PAGE))
    for _ in range(150):
        refs = [page.ref for page in chance.sample(pages, chance.choice([1, 3, 11, 40]))]
        if chance.random() < 0.3:
            refs[chance.randrange(len(refs))] = 4000
        status(s, chance.choice([Op.READ, Op.WRITE]), refs)
        c = s.counters
        assert c.maps == c.unmaps + c.grants_mapped
        assert s.domain.mapped - 1 == c.grants_mapped <= (30 if mode is PERSISTENT else 0)
        assert s.domain.maps - 1 == c.maps
    assert s.domain.copies <= s.counters.copies
    assert bool(s.counters.copies) == (mode is COPY)
