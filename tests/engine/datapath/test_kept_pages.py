# SPDX-License-Identifier: MIT
"""How many of a guest's pages are mapped: within the ring's and the process's budget, none twice, none forever."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.engine.datapath.conftest import Serve
from tests.engine.datapath.frontend import Page, whole
from tests.engine.datapath.layouts import Segment
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantBudget, GrantMode, IoEngine
from usblkback_tui.protocol.blkif import PAGE, Op, Status

PERSISTENT, MAP = GrantMode.PERSISTENT, GrantMode.MAP


def move(s: Served, pages: list[Page], op: int = Op.READ) -> int:
    """One request over whole pages from the start of the disk; its status."""
    some = whole(pages)
    request = s.front.layout.rw(op, 1, 0, some) if len(some) <= 11 else s.front.indirect(op, 1, 0, some)
    return s.front.do(request)[0].status


class Mappings:
    """What is mapped, as the calls say."""

    def __init__(self) -> None:
        self.now: Counter[int] = Counter()
        self.most: Counter[int] = Counter()
        self.together: list[int] = []
        self.most_pages = 0
        self.fail_at: int | None = None
        """The map call that fails, counted from now."""
        self._refs: dict[int, list[int]] = {}
        self.hooks = {"map": self._map, "unmap": self._unmap}

    def _map(self, real: Any, handle: int, count: int, domid: int, refs: Any, prot: int) -> Any:
        if self.fail_at is not None:
            self.fail_at -= 1
            if self.fail_at < 0:
                return None
        start = real(handle, count, domid, refs, prot)
        if start:
            self._refs[start] = list(refs[:count])
            self.now.update(self._refs[start])
            self.most |= self.now
            self.together.append(count)
            self.most_pages = max(self.most_pages, self.now.total())
        return start

    def _unmap(self, real: Any, handle: int, start: int, count: int) -> Any:
        self.now.subtract(self._refs.pop(start))
        return real(handle, start, count)


# The budgets ---------------------------------------------------------------------------------------------------------


def test_what_a_ring_keeps_nobody_else_can(serve: Serve) -> None:
    budget = GrantBudget(15)
    first = serve(PERSISTENT, budget=budget, persistent_pages=10)
    second = serve(PERSISTENT, budget=budget, persistent_pages=10)
    third = serve(PERSISTENT, budget=budget, persistent_pages=10)
    pages = {s: s.front.pages(bytes(11 * PAGE)) for s in (first, second, third)}
    for s in (first, second, third):
        assert move(s, pages[s]) == Status.OKAY, "a page that may not be kept is mapped for its request"
        assert s.domain.mapped - 1 == s.counters.grants_mapped
    assert [s.counters.grants_mapped for s in (first, second, third)] == [10, 5, 0]
    assert budget.used == 15
    first.stop()
    first.server.close()
    assert budget.used == 5
    for s in (second, third):
        assert move(s, pages[s]) == Status.OKAY
    assert [s.counters.grants_mapped for s in (second, third)] == [10, 5]
    assert budget.used == 15


def test_a_full_budget_lets_a_ring_change_what_it_keeps(serve: Serve) -> None:
    budget = GrantBudget(4)
    s = serve(PERSISTENT, budget=budget, persistent_pages=10)
    old, new = s.front.pages(bytes(4 * PAGE)), s.front.pages(bytes(4 * PAGE))
    move(s, old)
    move(s, new)
    assert [bool(s.front.in_use(page.ref)) for page in (*old, *new)] == [False] * 4 + [True] * 4
    assert (s.counters.evictions, budget.used) == (4, 4)


@pytest.mark.parametrize("keep", [0, 3])
def test_pages_beyond_the_budget_are_unmapped_before_the_answer(serve: Serve, keep: int) -> None:
    s = serve(PERSISTENT, persistent_pages=keep)
    for op in (Op.READ, Op.WRITE):
        pages = s.front.pages(bytes(60 * PAGE))
        assert move(s, pages, op) == Status.OKAY
        assert s.domain.mapped - 1 == keep == sum(bool(s.front.in_use(page.ref)) for page in pages)


@pytest.mark.parametrize("refused", [0, 3, 10])
def test_a_page_that_could_not_be_mapped_is_not_counted_as_kept(serve: Serve, refused: int) -> None:
    budget = GrantBudget(100)
    s = serve(PERSISTENT, budget=budget, persistent_pages=20)
    pages = s.front.pages(bytes(11 * PAGE))
    for _ in range(30):
        segments = whole(pages)
        segments[refused] = Segment(4000)
        assert s.front.do(s.front.layout.rw(Op.READ, 1, 0, segments))[0].status == Status.ERROR
        assert budget.used == s.counters.grants_mapped == s.domain.mapped - 1 <= refused
    assert move(s, pages) == Status.OKAY
    assert budget.used == 11


# Trimming ------------------------------------------------------------------------------------------------------------


def trim(s: Served) -> None:
    """Once, and it is done when this returns: the ring trims between two looks at its requests."""
    s.server.trim()
    for _ in range(2):
        s.front.do(s.front.layout.rw(Op.FLUSH_DISKCACHE, 1, 0))


@pytest.mark.parametrize("idle", [0, 1, 3])
def test_trim_releases_what_nobody_used_for_a_while(serve: Serve, idle: int) -> None:
    budget = GrantBudget(100)
    s = serve(PERSISTENT, budget=budget, idle_trims=idle)
    used, unused = s.front.pages(bytes(3 * PAGE)), s.front.pages(bytes(5 * PAGE))
    move(s, unused)
    for _ in range(idle):
        move(s, used)
        trim(s)
        assert s.counters.grants_mapped == 8
    move(s, used)
    trim(s)
    assert s.counters.grants_mapped == (3 if idle else 0)
    assert not any(s.front.in_use(page.ref) for page in unused)
    assert (s.counters.idle_releases, s.counters.evictions) == (5 if idle else 8, 0)
    assert budget.used == s.counters.grants_mapped == s.domain.mapped - 1
    assert move(s, unused) == Status.OKAY


# One mapping of a page at a time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [IoEngine.SYNC, IoEngine.IO_URING], ids=lambda io: io.value)
def test_single_map_maps_no_reference_twice_at_a_time(serve: Serve, image: Path, engine: IoEngine) -> None:
    """The same pages twice in a request, in several requests under way, and as a page of segments."""
    mappings = Mappings()
    s = serve(MAP, single_map=True, io=engine, hooks=mappings.hooks, ring_pages=4)
    disk = image.read_bytes()
    pages = s.front.pages(disk[: 6 * PAGE])
    halves = [Segment(pages[0].ref, 0, 3), Segment(pages[0].ref, 4, 7)]
    assert s.front.do(s.front.layout.rw(Op.READ, 1, 8, halves))[0].status == Status.OKAY
    assert s.front.read(pages[0].frame) == disk[PAGE : 2 * PAGE]
    chance = random.Random(7)
    for _ in range(10):
        described = s.front.page(b"".join(Segment(chance.choice(pages).ref).pack() for _ in range(40)))
        requests = [
            s.front.layout.rw(Op.WRITE, i, 40 * i, whole(chance.choices(pages, k=chance.randint(1, 5))))
            for i in range(40)
        ]
        requests += [s.front.layout.indirect(Op.WRITE, 41, 1640, 40, [described.ref])] * 3
        assert {r.status for r in s.front.do(*requests)} == {Status.OKAY}
        assert s.domain.mapped == 4
    assert set(mappings.most.values()) == {1}
    assert set(mappings.together) == {1}
    assert s.counters.grants_mapped == 0


@pytest.mark.parametrize("k", [0, 1, 5, 10, 11])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("op", [Op.READ, Op.WRITE])
def test_map_that_fails_halfway_leaves_nothing(
    serve: Serve, image: Path, mode: GrantMode, op: Op, single: bool, k: int
) -> None:
    """The host refuses the k-th call of a request: the first is for its page of segments, the others for its data."""
    mappings = Mappings()
    s = serve(mode, single_map=single, max_map_pages=1, persistent_pages=0, hooks=mappings.hooks)
    before = image.read_bytes()
    pages = s.front.pages(b"k" * 12 * PAGE)
    mappings.fail_at = k
    status = move(s, pages, op)
    if mode is GrantMode.COPY:
        assert status == Status.OKAY
        return
    assert status == Status.ERROR
    assert image.read_bytes() == before
    assert s.front.contents(pages) == b"k" * 12 * PAGE
    assert (s.domain.mapped, mappings.now.total(), s.counters.map_errors) == (1, 0, 1)
    mappings.fail_at = None
    assert move(s, pages, op) == Status.OKAY


@pytest.mark.parametrize("most", [1, 5, 11, 12, 100])
def test_no_map_call_is_larger_than_the_host_can(serve: Serve, image: Path, most: int) -> None:
    mappings = Mappings()
    s = serve(MAP, max_map_pages=most, max_segments=64, hooks=mappings.hooks)
    pages = s.front.pages(bytes(60 * PAGE))
    assert move(s, pages) == Status.OKAY
    assert s.front.contents(pages) == image.read_bytes()[: 60 * PAGE]
    assert mappings.together == [1, *[most] * (60 // most), *([60 % most] if 60 % most else [])]
    assert mappings.now.total() == 0
