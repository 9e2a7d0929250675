# SPDX-License-Identifier: MIT
"""Event channels: exactly the events each end asked for, none lost between looking and sleeping, and storms of them."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import random
import select
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.datapath.conftest import Serve
from tests.engine.datapath.frontend import REQ_EVENT, RSP_EVENT, whole
from tests.engine.datapath.layouts import Response
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import End
from usblkback_tui.engine.host.sim import Hypervisor
from usblkback_tui.protocol.blkif import Op
from usblkback_tui.protocol.ring import MASK, wants_notify


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    start=st.sampled_from([0, 2**32 - 9, 2**31 - 4]),
    count=st.integers(1, 32),
    batch=st.integers(1, 40),
    event=st.integers(-40, 40),
)
def test_notifications_are_exactly_those_asked_for(
    hypervisor: Hypervisor, start: int, count: int, batch: int, event: int
) -> None:
    """Responses appear in batches; an event goes out with each batch that passes rsp_event, and never else."""
    zero = os.open("/dev/zero", os.O_RDWR)
    try:
        with Served(hypervisor, zero, start=start, sectors=8, response_batch=batch, running=False) as s:
            s.front.set_index(RSP_EVENT, start + event)
            page = s.front.page()
            s.front.push(*(s.front.layout.rw(Op.READ, i, 0, whole([page])) for i in range(count)))
            s.start()
            while s.counters.responses < count:
                time.sleep(0)
            s.stop()
            edges = [(start + edge) & MASK for edge in [*range(0, count, batch), count]]
            wanted = sum(wants_notify(old, new, (start + event) & MASK) for old, new in itertools.pairwise(edges))
            counters = s.counters
            assert s.front.events() == counters.notifies_sent == wanted
            assert counters.notifies_suppressed == len(edges) - 1 - wanted
            assert len(s.front.take()) == count
    finally:
        os.close(zero)


def test_responses_of_a_drain_are_published_together(serve: Serve) -> None:
    s = serve(running=False, response_batch=32)
    page = s.front.page()
    s.front.push(*(s.front.layout.rw(Op.READ, i, 0, whole([page])) for i in range(20)))
    s.start()
    assert len(s.front.collect(20)) == 20
    assert (s.counters.notifies_sent, s.counters.notifies_suppressed) == (1, 0)


def test_request_that_slips_in_before_the_arming_is_seen(serve: Serve) -> None:
    """It arrives after the backend's last look and before req_event moves, so no event is sent for it."""
    slipped = 0
    kicks = 0

    def notify(real: Any, *args: Any) -> Any:
        nonlocal slipped, kicks
        if slipped < 30:
            slipped += 1
            page = s.front.page()
            old = s.front.prod
            s.front.set_index(RSP_EVENT, old + 1)
            s.front.push(s.front.layout.rw(Op.READ, slipped, 0, whole([page])))
            kicks += wants_notify(old, s.front.prod, s.front.index(REQ_EVENT))
        return real(*args)

    s = serve(hooks={"notify": notify}, running=False, poll_us=0)
    s.front.push(s.front.layout.rw(Op.READ, 0, 0, whole([s.front.page()])))
    s.start()
    # not collect(): that would move rsp_event, which here belongs to the hook
    deadline = time.monotonic() + 2
    responses: list[Response] = []
    while len(responses) < 31:
        assert time.monotonic() < deadline, f"asleep after {len(responses)} of 31 requests"
        responses += s.front.take()
        time.sleep(0.001)
    assert [r.id for r in responses] == list(range(31))
    assert kicks == 0


@pytest.mark.parametrize("poll_us", [0, 20])
def test_no_request_is_lost_when_only_asked_for_events_are_sent(serve: Serve, poll_us: int) -> None:
    """Bursts at random moments, so that some fall between the backend's last look and its sleep."""
    chance = random.Random(9)
    s = serve(poll_us=poll_us)
    page = s.front.page()
    sent = 0
    for _ in range(3000):
        burst = chance.randint(1, 3)
        s.front.submit(*(s.front.layout.rw(Op.READ, sent + i, 0, whole([page])) for i in range(burst)))
        for _ in range(chance.randrange(60)):
            pass
        if chance.random() < 0.4:
            # a second burst before the first is answered, as near to its answer as chance has it
            s.front.submit(s.front.layout.rw(Op.READ, sent + burst, 0, whole([page])))
            burst += 1
        assert [r.id for r in s.front.collect(burst)] == list(range(sent, sent + burst))
        sent += burst
    assert s.counters.responses == sent


def test_a_storm_of_events_finds_the_port_masked(serve: Serve) -> None:
    """XSA-332: while the requests that an event announced are worked on, more events wake nobody."""
    masked = False
    seen: list[list[tuple[int, int]]] = []
    port = select.poll()

    def pending(real: Any, *args: Any) -> Any:
        nonlocal masked
        masked = True
        return real(*args)

    def unmask(real: Any, *args: Any) -> Any:
        nonlocal masked
        masked = False
        return real(*args)

    def copy(real: Any, *args: Any) -> Any:
        for _ in range(100):
            s.front.kick()
        if masked:
            seen.append(port.poll(0))
        return real(*args)

    s = serve(hooks={"wait": pending, "unmask": unmask, "copy": copy}, running=False)
    port.register(s.channel.ops.fd, select.POLLIN)
    s.start()
    page = s.front.page()
    requests = 0
    while len(seen) < 10:
        assert requests < 500, "the port is unmasked before the work"
        s.front.do(s.front.layout.rw(Op.READ, requests, 0, whole([page])))
        requests += 1
        time.sleep(0.002)  # for the ring to fall asleep, so that an event wakes it
    assert seen == [[]] * 10
    assert s.counters.wakeups <= 2 * requests + 2, "a hundred events cost one more look at the ring"


def test_events_without_requests_are_counted_and_harmless(serve: Serve) -> None:
    s = serve()
    for _ in range(2000):
        s.front.kick()
    page = s.front.page()
    assert s.front.do(s.front.layout.rw(Op.READ, 5, 0, whole([page])))[0].status == 0
    wakeups = s.counters.wakeups
    assert 1 <= s.spurious <= wakeups <= 2002
    assert s.counters.responses == 1


def test_a_channel_that_refuses_to_notify_ends_the_ring(serve: Serve) -> None:
    s = serve(hooks={"notify": lambda real, *args: -1})
    s.front.submit(s.front.layout.rw(Op.READ, 5, 0, whole([s.front.page()])))
    assert s.ended() == End.NOTIFY


@pytest.mark.parametrize("operation", ["wait", "pending", "unmask"])
def test_a_channel_that_fails_ends_the_ring(serve: Serve, operation: str) -> None:
    """Not a loop that burns a processor, and not a sleep nobody can end."""

    def fail(real: Any, *args: Any) -> int:
        ctypes.set_errno(errno.EBADF)
        return -1

    s = serve(hooks={operation: fail}, waits=operation != "pending")
    s.front.kick()
    assert s.ended() == End.WAIT
