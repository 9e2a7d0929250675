# SPDX-License-Identifier: MIT
"""What is wrong with a disk that is served, and who else has a hand in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.rule import Found, Rule, Subject, back_keys
from usblkback_tui.engine.snapshot import Party, RingView, Severity
from usblkback_tui.protocol.expected import DESTROY_SECONDS
from usblkback_tui.protocol.ring import MASK
from usblkback_tui.protocol.states import XenbusState as S

STALL_SECONDS = 2.0
"""A ring with unread requests that nobody reads: its thread looks at them within microseconds."""
UNSEEN_SECONDS = 10.0
"""A guest takes its responses within milliseconds; one that is paused does not."""
HUNG_SECONDS = 10.0
"""Storage that answers nothing for so long hangs, or is about to."""
STOP_SECONDS = 5.0
"""A ring that was asked to stop answers what it has begun first."""
SLOW_NS = 1e9
STRANGER_SECONDS = 300.0
"""For so long we keep saying that somebody else wrote our state."""


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _ended(case: Case) -> Found | None:
    if case.running:
        return None
    return Found("its domain has ended and its toolstack has not removed the disk", (("domain", "gone"),))


def _orphaned(case: Case) -> Found | None:
    disk = case.disk
    if disk is None or not case.connected or disk.rings or disk.stopping_since:
        return None
    return Found(
        "both ends are Connected but the engine that served this disk is gone", (("rings", "0"), ("image", disk.image))
    )


def _rival(case: Case) -> Found | None:
    if not case.rival:
        return None
    return Found(
        f"{case.rival} serves kind {case.kind} in this domain too: both answer, and the states are written by turns",
        (("kind", case.kind), ("rival", case.rival)),
    )


def _stranger(case: Case) -> Found | None:
    change = case.disk.stranger if case.disk else None
    if change is None or case.now - change.time > STRANGER_SECONDS:
        return None
    return Found(
        f"somebody else wrote our state: {change.old.word} became {change.new.word}, which only a backend writes",
        (
            ("backend/state", f"{int(change.new)} {change.new.word}"),
            *back_keys(case, "physical-device", "hotplug-status"),
        ),
    )


# the storage ------------------------------------------------------------------------------------------------------


def _poisoned(case: Case) -> Found | None:
    if case.disk is None or not case.disk.poisoned:
        return None
    why = os.strerror(case.disk.poisoned)
    return Found(
        f"a flush failed ({why}): writes are refused until the disk is attached anew",
        (("errno", str(case.disk.poisoned)), ("writes refused", str(case.disk.counters.refused))),
    )


def _hung(case: Case) -> Found | None:
    disk = case.disk
    if disk is None:
        return None
    asked = case.now - disk.stopping_since if disk.stopping_since else 0.0
    still = max((case.now - ring.moved for ring in disk.rings if ring.moved and _in_service(ring)), default=0.0)
    if asked <= STOP_SECONDS and still <= HUNG_SECONDS:
        return None
    return Found(
        f"the image has not answered for {max(asked, still):.0f} s",
        (("requests in flight", str(disk.counters.in_flight)), ("image", disk.image)),
    )


def _slow(case: Case) -> Found | None:
    disk = case.disk
    if disk is None or disk.recent_p99 < SLOW_NS:
        return None
    full = sum(ring.counters.in_flight >= ring.slots > 0 for ring in disk.rings)
    return Found(
        f"the storage is slow: one request of a hundred took longer than {disk.recent_p99 / 1e9:.1f} s of late",
        (
            ("p99 ms", f"{disk.recent_p99 / 1e6:.0f}"),
            ("requests in flight", str(disk.counters.in_flight)),
            ("full rings", str(full)),
            ("image", disk.image),
        ),
    )


def _io_errors(case: Case) -> Found | None:
    disk = case.disk
    if disk is None or not disk.counters.io_errors:
        return None
    last = os.strerror(disk.io_errno) if disk.io_errno else "unknown"
    return Found(
        f"{_counted(disk.counters.io_errors, 'image error')}, the last: {last}",
        (("image errors", str(disk.counters.io_errors)), ("errno", str(disk.io_errno)), ("image", disk.image)),
    )


def _other_table(case: Case) -> Found | None:
    disk = case.disk
    if disk is None or disk.table_sector_size in (0, disk.sector_size):
        return None
    return Found(
        f"the partition table was written for sectors of {disk.table_sector_size} bytes and the guest sees "
        f"{disk.sector_size}: it finds no partitions",
        (("table sector size", str(disk.table_sector_size)), ("sector-size", str(disk.sector_size))),
    )


# the ring ---------------------------------------------------------------------------------------------------------


def _rings(case: Case) -> Iterator[RingView]:
    return iter(case.disk.rings if case.disk else ())


def _in_service(ring: RingView) -> int:
    """Requests that were read and not answered."""
    return ring.req_cons - ring.rsp_prod & MASK


def _stalled(case: Case) -> Found | None:
    for ring in _rings(case):
        unread = ring.req_prod - ring.req_cons & MASK
        if not unread or _in_service(ring) or not ring.moved or case.now - ring.moved <= STALL_SECONDS:
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
        f"the guest sent {_counted(count, 'invalid request')}, which we refused", (("bad requests", str(count)),)
    )


def _map_errors(case: Case) -> Found | None:
    count = case.disk.counters.map_errors if case.disk else 0
    if not count:
        return None
    return Found(f"{_counted(count, 'request')} named pages that could not be reached", (("map errors", str(count)),))


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


GONE = Rule(
    "STALE",
    Subject.HANDSHAKE,
    Severity.WARNING,
    Party.TOOLSTACK,
    _ended,
    "the directories of a domain that is gone",
    ("remove it: xl block-detach, or destroy the domain with its toolstack",),
    seconds=DESTROY_SECONDS,
    source="a domid that is stale after a reboot or a crash",
)

ORPHANED = Rule(
    "ENGINE-GONE",
    Subject.HANDSHAKE,
    Severity.ERROR,
    Party.OPERATOR,
    _orphaned,
    "both states are Connected and the engine holds no ring of it",
    ("force-detach it and attach it again",),
    source="an engine that was killed",
)

SERVING = (
    Rule(
        "KIND-COLLISION",
        Subject.OWNER,
        Severity.ERROR,
        Party.OPERATOR,
        _rival,
        "the kernel's xen-blkback is loaded in our domain and we serve kind vbd",
        ("unload it (rmmod xen-blkback), or leave the kind out of engine.kinds",),
        source="two writers of one state",
    ),
    Rule(
        "TWO-OWNERS",
        Subject.OWNER,
        Severity.ERROR,
        Party.OPERATOR,
        _stranger,
        "our state was written by somebody who is neither we nor a toolstack that detaches",
        ("look for another backend: lsmod (xen-blkback), qemu, a second engine",),
        source="two writers of one state",
    ),
    Rule(
        "FLUSH-FAILED",
        Subject.IMAGE,
        Severity.ERROR,
        Party.OPERATOR,
        _poisoned,
        "a flush failed, so what was promised to be on the disk may be lost",
        ("look at the storage, check the file system, then attach the disk anew",),
        source="xen-blkfront takes an error to an empty flush for success",
    ),
    Rule(
        "IMAGE-HUNG",
        Subject.IMAGE,
        Severity.ERROR,
        Party.OPERATOR,
        _hung,
        "requests are in flight and nothing moves, or a ring does not stop",
        ("look at the storage behind it",),
        source="dead NFS, a lost path, a full thin pool",
    ),
    Rule(
        "IO-ERRORS",
        Subject.IMAGE,
        Severity.WARNING,
        Party.OPERATOR,
        _io_errors,
        "the image failed requests since the disk was attached",
        ("look at the storage and at dmesg; a file may have been cut short or its file system be full",),
        source="preadv, pwritev, fallocate",
    ),
    Rule(
        "SLOW-DISK",
        Subject.IMAGE,
        Severity.WARNING,
        Party.OPERATOR,
        _slow,
        "one request of a hundred took longer than a second in the last seconds",
        ("look at the storage: iostat -x 1",),
        source="latency of the last seconds",
    ),
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
    Rule(
        "TABLE-SECTOR-SIZE",
        Subject.LAYOUT,
        Severity.WARNING,
        Party.OPERATOR,
        _other_table,
        "EFI PART stands where sectors of the other size would have it",
        ("attach it with the table's size: --sector-size", "or write the table anew for 512"),
        source="QubesOS#4974, #7828, #7398",
    ),
)
