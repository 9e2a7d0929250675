# SPDX-License-Identifier: MIT
"""Disks that somebody else ended, left behind or writes to."""

from __future__ import annotations

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.rule import Found, Rule, Subject, back_keys
from usblkback_tui.engine.snapshot import Party, Severity
from usblkback_tui.protocol.expected import DESTROY_SECONDS

STRANGER_SECONDS = 300.0
"""For so long we keep saying that somebody else wrote our state."""


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


OWNERS = (
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
)
"""In the order in which they are tried."""
