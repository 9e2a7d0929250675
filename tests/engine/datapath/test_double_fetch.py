# SPDX-License-Identifier: MIT
"""XSA-155: a guest that rewrites its request all the time while it is worked on.

Whatever of it the backend sees is either good or refused by validation.  Had it looked twice, what was found good would
be something else when it is used, and the hypervisor or the image would refuse it: the counters tell them apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.engine.datapath.conftest import IMAGE_BYTES, Serve
from tests.engine.datapath.frontend import whole
from tests.engine.datapath.layouts import LAYOUTS, Segment
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantMode
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op, Status

ROUNDS = 12
DEPTH = 24


@contextmanager
def mutating(change: Callable[[], None]) -> Iterator[None]:
    """Call ``change`` over and over in a thread of its own."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            for _ in range(100):
                change()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def unsure(s: Served, done: int) -> bool:
    """Some rounds at least, and until both the good and the bad version were seen."""
    assert done < 1000 * DEPTH, "one of the versions is never seen"
    counters = s.counters
    return done < ROUNDS * DEPTH or not counters.bad_requests or counters.bad_requests == done


def answered(s: Served, first: int) -> None:
    """Let the other thread at the requests that were pushed, then have them served."""
    time.sleep(0.0002)
    s.front.kick()
    responses = s.front.collect(DEPTH)
    assert [r.id for r in responses] == list(range(first, first + DEPTH))
    assert {r.status for r in responses} <= {Status.OKAY, Status.ERROR}


def check(s: Served, requests: int) -> None:
    counters = s.counters
    assert counters.responses == requests
    assert counters.errors == counters.bad_requests, "what passed the checks failed later: it was fetched again"
    assert (counters.map_errors, counters.io_errors) == (0, 0)


def test_segments_of_an_indirect_request(serve: Serve, image: Path, mode: GrantMode) -> None:
    """The last of 40 segments is now one page, now two."""
    s = serve(mode)
    before = image.read_bytes()
    pages = s.front.pages(b"s" * 40 * PAGE)
    described = s.front.page(b"".join(segment.pack() for segment in whole(pages)))
    last = described.frame * PAGE + 39 * 8 + 5

    def change() -> None:
        s.front.memory[last] = 15
        s.front.memory[last] = 7

    done = 0
    with mutating(change):
        while unsure(s, done):
            s.front.push(*(s.front.layout.indirect(Op.READ, done + k, 0, 40, [described.ref]) for k in range(DEPTH)))
            answered(s, done)
            done += DEPTH
    check(s, done)
    assert image.read_bytes() == before
    assert s.front.contents(pages) == before[: 40 * PAGE]


def test_request_in_its_slot(serve: Serve, image: Path, mode: GrantMode) -> None:
    """The sector is now inside, now outside; the segment is now one page, now two.  The response's bytes are let be."""
    s = serve(mode, sectors=IMAGE_BYTES // SECTOR - 8)
    page = s.front.page()
    before = image.read_bytes()
    slots = [s.front.slot_at(i) for i in range(32)]

    def change() -> None:
        for at in slots:
            s.front.memory[at + 29] = 15
            s.front.memory[at + 23] = 0xFF
            s.front.memory[at + 29] = 7
            s.front.memory[at + 23] = 0

    done = 0
    with mutating(change):
        while unsure(s, done):
            s.front.push(*(s.front.layout.rw(Op.WRITE, done + k, 0, [Segment(page.ref)]) for k in range(DEPTH)))
            answered(s, done)
            done += DEPTH
    check(s, done)
    assert image.read_bytes() == bytes(PAGE) + before[PAGE:]


def test_what_is_rewritten_right_after_it_was_fetched_changes_nothing(
    serve: Serve, image: Path, mode: GrantMode, protocol: str
) -> None:
    """Not by chance but each time: when the backend reaches for the data, slot and descriptors turn into garbage."""
    layout = LAYOUTS[protocol]
    calls = 0

    def spoil(real: Any, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:  # for the descriptors
            return real(*args)
        s.front.memory[s.front.slot_at(0) : s.front.slot_at(0) + layout.slot] = b"\xff" * layout.slot
        s.front.write(described.frame, b"\xff" * PAGE)
        return real(*args)

    s = serve(mode, protocol=protocol, hooks={"map": spoil, "copy": spoil}, running=False)
    pages = s.front.pages(b"w" * 20 * PAGE)
    described = s.front.page(b"".join(segment.pack() for segment in whole(pages)))
    s.front.push(layout.indirect(Op.WRITE, 77, 0, 20, [described.ref]))
    s.start()
    assert [(r.id, r.op, r.status) for r in s.front.collect(1)] == [(77, Op.WRITE, Status.OKAY)]
    assert image.read_bytes()[: 20 * PAGE] == b"w" * 20 * PAGE
