# SPDX-License-Identifier: MIT
"""Whose step does not come when a disk is closed or taken away."""

from __future__ import annotations

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.rule import Found, Rule, Subject, back_keys
from usblkback_tui.engine.snapshot import Party, Severity
from usblkback_tui.protocol.expected import PATIENCE
from usblkback_tui.protocol.states import XenbusState as S


def _busy(case: Case) -> Found | None:
    said = case.keys.front_error
    if "refusing to close" not in said or not case.closing or case.back is S.CLOSED:
        return None
    return Found(
        "the guest still uses the disk and refuses to close it",
        (("frontend/error", said), *back_keys(case, "online"), *_work(case)),
    )


def _not_let_go(case: Case) -> Found | None:
    if case.back not in (S.CLOSING, S.CLOSED) or case.front in (S.CLOSED, S.UNKNOWN):
        return None
    if case.back is S.CLOSED and case.front is S.INITIALISING:
        return None
    what = "has not let go of the disk" if case.front is S.CONNECTED else "has not closed its end"
    return Found(f"the guest {what}", (*back_keys(case, "online"), *_work(case)))


def _not_closed(case: Case) -> Found | None:
    if case.front not in (S.CLOSING, S.CLOSED) or case.back is S.CLOSED:
        return None
    return Found("the guest closes and its backend has not: requests may hang in the storage behind it", _work(case))


def _work(case: Case) -> tuple[tuple[str, str], ...]:
    """Requests and pages that are still held."""
    if case.disk is None:
        return ()
    counters = case.disk.counters
    return (("requests in flight", str(counters.in_flight)), ("pages mapped", str(counters.grants_mapped)))


def _not_removed(case: Case) -> Found | None:
    if case.online or case.back is not S.CLOSED or case.front not in (S.CLOSED, S.UNKNOWN, S.INITIALISING):
        return None
    return Found("closed at both ends and offline, and its directories are still there", back_keys(case, "online"))


def _resting(case: Case) -> Found | None:
    if not (case.front is S.CLOSED and case.back is S.CLOSED and case.online):
        return None
    return Found(
        "closed at both ends and still attached; it starts again when the guest's driver goes to Initialising",
        back_keys(case, "online"),
    )


BUSY = Rule(
    "DETACH-BUSY",
    Subject.HANDSHAKE,
    Severity.WARNING,
    Party.FRONTEND,
    _busy,
    'the guest left "Device in use; refusing to close" and has not closed',
    ("unmount it in the guest", "detach it with force: the guest then sees I/O errors"),
    source="QubesOS#4784, #2094; xen-blkfront: Device in use",
)


CLOSING = (
    Rule(
        "FE-NO-CLOSE",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.FRONTEND,
        _not_let_go,
        "the backend closes and the frontend stays",
        ("unmount it in the guest", "detach it with force: the guest then sees I/O errors"),
        seconds=PATIENCE,
        source="QubesOS#4784, #2094",
    ),
    Rule(
        "CLOSE-HANG",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.BACKEND,
        _not_closed,
        "the frontend closes and the backend does not get to Closed",
        ("look at the storage behind the image", "detach it with force"),
        seconds=PATIENCE,
        source="QubesOS#5887: timeout closing device; win-xenvbd waits without end",
    ),
    Rule(
        "NOT-REMOVED",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.TOOLSTACK,
        _not_removed,
        "both ends are Closed, online is 0, and nobody removes the directories",
        ("look whether xl devd runs in the backend's domain", "xl block-detach it again"),
        seconds=PATIENCE,
        source="QubesOS#336, #1301",
    ),
    Rule(
        "CLOSED-ONLINE",
        Subject.HANDSHAKE,
        Severity.INFO,
        Party.FRONTEND,
        _resting,
        "both ends are Closed and online is 1",
        ("start the guest's driver again, or detach the disk",),
        seconds=PATIENCE,
        source="xenbus.h; xen-blkback waits for Initialising",
    ),
)
"""In the order in which they are tried."""
