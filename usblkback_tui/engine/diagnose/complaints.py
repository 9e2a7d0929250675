# SPDX-License-Identifier: MIT
"""What a backend says that it cannot do, sorted by its words: ours, and those of Linux's xen-blkback.

The words are those of our own sentences (``protocol/frontend.py``, ``connection.py``, ``image/``), which also stand in
the error node and in ``hotplug-error``, so a saved dump is read like the living engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.rule import Found, Rule, Subject, back_keys
from usblkback_tui.engine.snapshot import Party, Severity

_KEYS = 24
"""Keys of a frontend that are shown as evidence."""


def says(words: str, *keys: str, transport: bool = False) -> Callable[[Case], Found | None]:
    """A rule that holds when the complaint has the words; evidence is what the frontend offers, or backend keys."""
    pattern = re.compile(words)

    def look(case: Case) -> Found | None:
        complaint = case.complaint
        if not complaint or not pattern.search(complaint):
            return None
        evidence = back_keys(case, *keys)
        if transport:
            offered = [pair for pair in case.keys.front if pair[0] != "state"][:_KEYS]
            evidence = (*evidence, *((f"frontend/{name}", value) for name, value in offered))
        return spoken(complaint, evidence)

    return look


def spoken(complaint: str, evidence: tuple[tuple[str, str], ...] = ()) -> Found:
    """A complaint as it stands; what follows its first semicolon is its own advice."""
    sentence, _, fix = complaint.partition("; ")
    return Found(sentence, evidence, (fix,) if fix else ())


def _anything(case: Case) -> Found | None:
    if not (complaint := case.complaint):
        return None
    if case.disk is not None or case.problem:
        return spoken(complaint)
    status = case.at_back("hotplug-error")
    who = "the hotplug script failed" if status else "its backend says"
    return spoken(f"{who}: {complaint}", back_keys(case, "hotplug-status", "hotplug-error", "params"))


def _is_hotplug(case: Case) -> Found | None:
    if case.disk is not None or not case.at_back("hotplug-error"):
        return None
    return _anything(case)


_FRONTEND_AGAIN = "restart the guest's driver (unbind and bind it, or reboot the guest), or detach and attach the disk"

COMPLAINTS = (
    Rule(
        "BE-NO-IMAGE",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.OPERATOR,
        says(r"^image |^block device |params names no image", "params", "mode", "hotplug-status"),
        "the image cannot be opened: it is missing, locked, of an odd size, or not ours to use",
        ("look at it: usblkback-tui image info FILE",),
        source="QubesOS#336, xen-api#5529",
    ),
    Rule(
        "BE-IDENTITY",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.TOOLSTACK,
        says(r"backend key (frontend|frontend-id) ", "frontend", "frontend-id"),
        "frontend or frontend-id of the backend's directory do not fit its own path",
        ("detach the disk and attach it again",),
        source="XSA-175, XSA-178",
    ),
    Rule(
        "RING-EVIL",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.FRONTEND,
        says(r"claims more requests|bogus ring requests"),
        "req_prod is further ahead of rsp_prod than the ring has slots, so the ring is no longer served",
        (_FRONTEND_AGAIN, "look for a broken or hostile driver in the guest"),
        source="blkif.h, RING_REQUEST_PROD_OVERFLOW",
    ),
    Rule(
        "FE-PROTO",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.FRONTEND,
        says(r"frontend key protocol |unknown fe protocol", transport=True),
        "protocol is none of x86_64-abi, x86_32-abi and arm-abi",
        ("use a driver that writes one of them, or none",),
        source="blkif.h, protocols.h",
    ),
    Rule(
        "FE-MULTIQ",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.FRONTEND,
        says(
            r"frontend key (multi-queue-num-queues|queue-)|guest requested \d+ queues",
            "multi-queue-max-queues",
            transport=True,
        ),
        "more queues than multi-queue-max-queues offers, or the directory of a queue is incomplete",
        ("limit it in the guest: xen_blkfront.max_queues=1", _FRONTEND_AGAIN),
        source="xen-blkback: guest requested N queues, exceeding the maximum",
    ),
    Rule(
        "FE-RING-ORDER",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.FRONTEND,
        says(
            r"frontend key (ring-page-order|num-ring-pages|ring-ref\d)|ring page order exceed",
            "max-ring-page-order",
            "max-ring-pages",
            transport=True,
        ),
        "a larger ring than max-ring-page-order offers, or not as many ring-refN as it says",
        ("limit it in the guest: xen_blkfront.max_ring_page_order=0", _FRONTEND_AGAIN),
        source="xen-blkback: request N ring page order exceed max",
    ),
    Rule(
        "FE-NO-RING",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.FRONTEND,
        says(r"frontend key (ring-ref|event-channel) is missing|reading .*(ring-ref|event-channel)", transport=True),
        "the frontend says Initialised or Connected, and ring-ref or event-channel is missing",
        (_FRONTEND_AGAIN, "compare the frontend's keys with those of a disk that works"),
        source="mirage-block-xen#45, osv#345",
    ),
    Rule(
        "FE-KEYS",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.FRONTEND,
        says(r"frontend key ", transport=True),
        "a key of the frontend is no number, or contradicts another",
        (_FRONTEND_AGAIN,),
        source="blkif.h",
    ),
    Rule(
        "GNT-MAP",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.FRONTEND,
        says(r"ring-ref .*cannot be mapped|mapping ring-ref", transport=True),
        "a page of the ring cannot be mapped: a bad reference, not granted to us, or its domain is dying",
        (_FRONTEND_AGAIN,),
        source="xen grant_table.h, GNTST_*",
    ),
    Rule(
        "EVT-BIND",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.FRONTEND,
        says(r"event-channel .*cannot be bound|binding .*(port|evtchn|event)", transport=True),
        "the frontend's event channel cannot be bound: the wrong port, bound already, or its domain is dying",
        (_FRONTEND_AGAIN, "look whether another backend serves the same disk"),
        source="xen event_channel.h, EVTCHNOP_bind_interdomain",
    ),
    Rule(
        "HOTPLUG-FAILED",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.OPERATOR,
        _is_hotplug,
        "hotplug-error is set: the script failed and the directories were left behind",
        ("see /var/log/xen/xen-hotplug.log", "detach the disk, mend that, and attach it again"),
        source="xen-api#5529",
    ),
)
"""In the order in which words are looked for: the more exact ones first."""

LAST_WORD = Rule(
    "BE-ERROR",
    Subject.HANDSHAKE,
    Severity.ERROR,
    Party.BACKEND,
    _anything,
    "the backend left a sentence in its error node that is none of the above",
    ("see the log of the backend's domain",),
    source="xenbus_dev_error",
)
