# SPDX-License-Identifier: MIT
"""The shared indices: where serving starts, the wrap at 2**32, batches, and indices no honest guest writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.datapath.conftest import Serve
from tests.engine.datapath.frontend import REQ_PROD, RSP_EVENT, RSP_PROD, whole
from usblkback_tui.engine.datapath.ring import End, GrantMode
from usblkback_tui.protocol.blkif import Op
from usblkback_tui.protocol.ring import MASK


@pytest.mark.parametrize("start", [2**32 - 1, 2**32 - 5, 2**32 - 32, 2**31 - 3, 12345])
@pytest.mark.parametrize("ring_pages", [1, 4])
def test_indices_wrap(serve: Serve, mode: GrantMode, protocol: str, start: int, ring_pages: int) -> None:
    s = serve(mode, protocol=protocol, start=start, ring_pages=ring_pages)
    assert s.server.slots == s.front.slots == 32 * ring_pages
    pages = s.front.pages(bytes(4096 * 8))
    count = s.front.slots + 7
    requests = [s.front.layout.rw(Op.READ, i, i, whole([pages[i % 8]])) for i in range(count)]
    assert [(r.id, r.status) for r in s.front.do(*requests)] == [(i, 0) for i in range(count)]
    indices = s.server.indices()
    end = (start + count) & MASK
    assert (indices.req_prod, indices.req_cons, indices.rsp_prod) == (end, end, end)
    assert s.front.index(RSP_PROD) == end


def test_what_an_earlier_backend_left_unanswered_is_served(serve: Serve) -> None:
    s = serve(running=False, start=2**32 - 2)
    s.front.push(*(s.front.layout.rw(Op.READ, i, i, whole([s.front.page()])) for i in range(5)))
    s.start()
    assert [r.id for r in s.front.collect(5)] == list(range(5))


def test_full_ring_is_served(serve: Serve) -> None:
    s = serve(running=False)
    page = s.front.page()
    s.front.push(*(s.front.layout.rw(Op.READ, i, 0, whole([page])) for i in range(32)))
    s.start()
    assert [r.id for r in s.front.collect(32)] == list(range(32))


@pytest.mark.parametrize("start", [0, 7, 2**32 - 3])
@pytest.mark.parametrize("ahead", [33, 34, 64, 2**31, 2**32 - 2, 2**32 - 1])
def test_impossible_req_prod_ends_the_ring(serve: Serve, start: int, ahead: int) -> None:
    """More requests than slots, or fewer than were answered already (the last two): nothing is taken or answered."""
    s = serve(start=start, running=False)
    before = s.front.memory[s.front.slot_at(0) : s.front.slot_at(0) + 32 * 112]
    s.front.set_index(REQ_PROD, start + ahead)
    s.start()
    assert s.ended(2) == End.OVERFLOW
    assert s.front.index(RSP_PROD) == start
    assert s.front.memory[s.front.slot_at(0) : s.front.slot_at(0) + 32 * 112] == before
    assert s.counters.responses == 0


def test_req_prod_that_becomes_impossible_while_asleep(serve: Serve) -> None:
    s = serve()
    page = s.front.page()
    s.front.do(s.front.layout.rw(Op.READ, 1, 0, whole([page])))
    s.front.set_index(REQ_PROD, 0)
    s.front.kick()
    assert s.ended(2) == End.OVERFLOW
    assert "more requests than its ring has slots" in End.OVERFLOW.sentence


def test_what_was_done_before_the_overflow_is_answered(serve: Serve) -> None:
    asked = 0

    def copy(real: Any, *args: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 3:
            s.front.set_index(REQ_PROD, 500)
        return real(*args)

    s = serve(hooks={"copy": copy}, running=False)
    s.front.push(*(s.front.layout.rw(Op.READ, i, 0, whole([s.front.page()])) for i in range(3)))
    s.start()
    assert s.ended() == End.OVERFLOW
    assert [r.id for r in s.front.take()] == [0, 1, 2]


def test_rsp_prod_of_the_guest_is_never_read_again(serve: Serve, image: Path) -> None:
    """A guest that rewrites rsp_prod, rsp_event or req_event only confuses itself."""
    s = serve()
    page = s.front.page()
    for i, junk in enumerate([0xFFFFFFFF, 0x80000000, 7]):
        for offset in (4, RSP_PROD, RSP_EVENT):
            s.front.set_index(offset, junk)
        s.front.push(s.front.layout.rw(Op.READ, i, i, whole([page])))
        s.front.kick()
        while s.front.index(RSP_PROD) != i + 1:
            pass
        assert [r.id for r in s.front.take()] == [i]
        assert s.front.read(page.frame) == image.read_bytes()[i * 512 : i * 512 + 4096]
    assert s.server.indices().rsp_prod == 3
