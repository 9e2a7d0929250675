# SPDX-License-Identifier: MIT
"""What a guest does wrong on a ring that is served."""

from __future__ import annotations

from collections.abc import Iterator

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.rule import Found, Rule, Subject, counted, in_service
from usblkback_tui.engine.snapshot import Party, RingView, Severity
from usblkback_tui.protocol.expected import DESTROY_SECONDS
from usblkback_tui.protocol.ring import MASK
from usblkback_tui.protocol.states import XenbusState as S

STALL_SECONDS = 2.0
"""A ring with unread requests that nobody reads: its thread looks at them within microseconds."""

UNSEEN_SECONDS = 10.0
"""A guest takes its responses within milliseconds; one that is paused does not."""


def _rings(case: Case) -> Iterator[RingView]:
    return iter(case.disk.rings if case.disk else ())


def _stalled(case: Case) -> Found | None:
    for ring in _rings(case):
        unread = ring.req_prod - ring.req_cons & MASK
        if not unread or in_service(ring) or not ring.moved or case.now - ring.moved <= STALL_SECONDS:
            continue
        return Found(
            f"{unread} requests lie unread on ring {ring.index} for {case.now - ring.moved:.0f} s: no event came",
            _indices(ring, "req_prod", "req_cons", "req_event"),
        )
    return None


def _unseen(case: Case) -> Found | None:
    """The frontend arms ``rsp_event`` one beyond what it has taken; one that lags behind has not been there since."""
    for ring in _rings(case):
        behind = ring.rsp_prod - ring.rsp_event & MASK
        idle = ring.req_prod == ring.req_cons == ring.rsp_prod
        if not idle or behind > ring.slots or not ring.moved or case.now - ring.moved <= UNSEEN_SECONDS:
            continue
        return Found(
            f"the guest has not taken the answers on ring {ring.index} for {case.now - ring.moved:.0f} s: "
            "it is paused, or takes no interrupts",
            _indices(ring, "rsp_prod", "rsp_event", "req_prod"),
        )
    return None


def _indices(ring: RingView, *names: str) -> tuple[tuple[str, str], ...]:
    pairs = [(f"ring {ring.index} {name}", str(getattr(ring, name) & MASK)) for name in names]
    return (*pairs, (f"ring {ring.index} slots", str(ring.slots)))


def _bad_requests(case: Case) -> Found | None:
    count = case.disk.counters.bad_requests if case.disk else 0
    if not count:
        return None
    return Found(
        f"the guest sent {counted(count, 'invalid request')}, which we refused", (("bad requests", str(count)),)
    )


def _map_errors(case: Case) -> Found | None:
    count = case.disk.counters.map_errors if case.disk else 0
    if not count:
        return None
    return Found(f"{counted(count, 'request')} named pages that could not be reached", (("map errors", str(count)),))


def _held(case: Case) -> Found | None:
    disk = case.disk
    if disk is None or disk.rings or case.back not in (S.CLOSED, S.INIT_WAIT):
        return None
    held = disk.counters.maps - disk.counters.unmaps
    if held <= 0:
        return None
    return Found(
        f"{held} pages of the guest are still mapped although nothing is connected",
        (("maps", str(disk.counters.maps)), ("unmaps", str(disk.counters.unmaps))),
    )


RINGS = (
    Rule(
        "RING-STALL",
        Subject.RING,
        Severity.ERROR,
        Party.FRONTEND,
        _stalled,
        "unread requests, nothing in flight and no progress",
        ("a frontend has to send an event when req_prod passes req_event; restart its driver",),
        source="ring.h, RING_PUSH_REQUESTS_AND_CHECK_NOTIFY",
    ),
    Rule(
        "RSP-UNSEEN",
        Subject.RING,
        Severity.WARNING,
        Party.FRONTEND,
        _unseen,
        "all is answered and rsp_event has not been armed again",
        ("look whether the domain is paused or crashed: xl list", "look at the guest's console"),
        source="ring.h, RING_FINAL_CHECK_FOR_RESPONSES",
    ),
    Rule(
        "BAD-REQUESTS",
        Subject.RING,
        Severity.WARNING,
        Party.FRONTEND,
        _bad_requests,
        "requests that no driver may send: outside the disk, impossible segments, unknown operations",
        ("look for a broken or hostile driver in the guest",),
        source="XSA-155 and its kin",
    ),
    Rule(
        "MAP-ERRORS",
        Subject.RING,
        Severity.WARNING,
        Party.FRONTEND,
        _map_errors,
        "requests whose granted pages cannot be mapped or copied",
        ("look at the guest's console for grant table messages",),
        source="grant_table.h, GNTST_*",
    ),
    Rule(
        "GRANTS-HELD",
        Subject.RING,
        Severity.ERROR,
        Party.BACKEND,
        _held,
        "pages are mapped while no ring is",
        ("report it; ending the engine gives them back",),
        seconds=DESTROY_SECONDS,
        source="QubesOS#1328: g.e. still in use! deferring",
    ),
)
"""In the order in which they are tried."""
