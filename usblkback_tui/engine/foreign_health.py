# SPDX-License-Identifier: MIT
"""One sentence on a vbd that somebody else serves, from what xenstore shows of it; a pure function."""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.engine.snapshot import Health, Severity
from usblkback_tui.protocol.expected import PATIENCE
from usblkback_tui.protocol.states import XenbusState as S

_HOTPLUGGED = ("vbd", "vbd3")
"""Kinds whose backend begins when a hotplug script or the toolstack has written the device's number."""

_STARTERS = {
    "vbd": "is xen-blkback loaded in the backend's domain (modprobe xen-blkback)?",
    "qdisk": "does the domain's qemu run?",
    "vbd3": "does tapback run?",
}


@dataclass(frozen=True, slots=True)
class ForeignFacts:
    """What :func:`foreign_health` looks at; ``waited`` is seconds since either end last moved."""

    kind: str
    front: S
    back: S
    online: bool = True
    waited: float = 0.0
    running: bool = True
    """The guest's domain is there."""
    physical: bool = False
    """``physical-device`` or ``physical-device-path`` is written."""
    hotplug_error: str = ""
    frontend_error: str = ""
    """What the guest's driver left in its error node."""
    backend_error: str = ""
    """What the backend left in its error node."""


def foreign_health(facts: ForeignFacts) -> Health:
    """The most important thing to know about it."""
    if not facts.running:
        return Health(Severity.WARNING, "left behind: its domain has ended; its toolstack has not removed it")
    if facts.front is S.CONNECTED and facts.back is S.CONNECTED:
        return Health()
    for who, said in (
        ("the hotplug script failed", facts.hotplug_error),
        ("its backend says", facts.backend_error),
        ("the guest says", facts.frontend_error),
    ):
        if said:
            return Health(Severity.ERROR, f"{who}: {said}")
    if facts.front is S.CLOSED and facts.back is S.CLOSED:
        return Health(Severity.INFO, "closed at both ends")
    where = f"frontend {facts.front.word}, backend {facts.back.word}"
    if facts.waited < PATIENCE:
        return Health(Severity.INFO, f"between states: {where}")
    late = f"stuck {facts.waited:.0f} s"
    reason = _reason(facts)
    return Health(Severity.WARNING, f"{late}: {reason}" if reason else f"{late}: {where}")


def _reason(facts: ForeignFacts) -> str:
    front, back = facts.front, facts.back
    if back in (S.UNKNOWN, S.INITIALISING):
        return f"no backend has taken it; {_STARTERS.get(facts.kind, f'does the backend of kind {facts.kind} run?')}"
    if back in (S.INIT_WAIT, S.INITIALISED) and facts.kind in _HOTPLUGGED and not facts.physical:
        return "the hotplug script has not named a device (physical-device); see /var/log/xen/xen-hotplug.log"
    if back is S.INIT_WAIT and front in (S.UNKNOWN, S.INITIALISING):
        return "the guest's driver has not offered a ring; is the guest running, with a PV block driver?"
    if back is S.INIT_WAIT and front in (S.INITIALISED, S.CONNECTED):
        return "its backend has not taken the guest's ring; see the backend domain's kernel log"
    if back is S.CONNECTED and front is S.INITIALISED:
        return "the guest has not taken the disk's size and features; see its console"
    if back is S.CLOSING or (front is S.CONNECTED and back is S.CLOSED):
        return "the guest has not let go of the disk; unmount it there"
    if front in (S.CLOSING, S.CLOSED):
        return "its backend has not closed; requests may hang in the storage behind it"
    return ""
