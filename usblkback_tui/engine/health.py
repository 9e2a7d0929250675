# SPDX-License-Identifier: MIT
"""One sentence on a disk, from what is known of it; a pure function, so every sentence can be tested."""

from __future__ import annotations

import os
from dataclasses import dataclass

from usblkback_tui.engine.snapshot import Health, Severity
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.transitions import decide

PATIENCE = 10.0
"""Seconds a handshake step may take before we say who is late; libxl gives a backend as long."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What :func:`health_of` looks at; times are seconds."""

    front: S
    back: S
    online: bool
    waited: float
    """Since either end last moved."""
    image_ready: bool = True
    problem: str = ""
    """A sentence kept from a failure."""
    stuck: float = 0.0
    """How long the ring has been asked to stop without doing so."""
    served: bool = False
    """A ring of ours runs."""
    poisoned: int = 0
    io_errno: int = 0
    cdrom: bool = False
    io_errors: int = 0
    bad_requests: int = 0
    map_errors: int = 0


def health_of(facts: Facts) -> Health:
    """The most important thing to know about a disk."""
    if facts.problem:
        return Health(Severity.ERROR, facts.problem)
    if facts.stuck > 1.0:
        return Health(
            Severity.ERROR, f"the image has not answered for {facts.stuck:.0f} s; look at the storage behind it"
        )
    if facts.poisoned:
        return Health(
            Severity.ERROR,
            f"a flush failed ({os.strerror(facts.poisoned)}): writes are refused until the disk is attached anew",
        )
    if not facts.image_ready:
        return Health(Severity.WARNING, "opening the image")
    if facts.front is S.CONNECTED and facts.back is S.CONNECTED:
        return _connected(facts)
    return _handshake(facts)


def _connected(facts: Facts) -> Health:
    if not facts.served:
        return Health(
            Severity.ERROR,
            "both ends are Connected but the engine that served this disk is gone; force-detach it and attach it again",
        )
    if facts.io_errors:
        return Health(Severity.WARNING, f"{facts.io_errors} image errors, the last: {os.strerror(facts.io_errno)}")
    if facts.bad_requests:
        return Health(Severity.WARNING, f"the guest sent {facts.bad_requests} invalid requests; they were refused")
    if facts.map_errors:
        return Health(Severity.WARNING, f"{facts.map_errors} requests named pages that could not be reached")
    return Health()


def _handshake(facts: Facts) -> Health:
    cell = decide(facts.front, facts.back, online=facts.online)
    if facts.waited < PATIENCE:
        return Health(Severity.INFO, cell.reason)
    late = f"{facts.waited:.0f} s"
    if facts.back is S.INIT_WAIT and facts.front in (S.INITIALISING, S.UNKNOWN):
        if facts.cdrom:
            return Health(
                Severity.WARNING,
                f"stuck {late}: the guest's driver has not offered a ring; Linux HVM and PVH guests take no PV CD, "
                "attach it as a disk with mode r",
            )
        return Health(
            Severity.WARNING,
            f"stuck {late}: the guest's driver has not offered a ring; is the guest running, with a PV block driver?",
        )
    if facts.back is S.CLOSING:
        return Health(
            Severity.WARNING, f"stuck {late}: the guest has not let go of the disk; unmount it there or force-detach"
        )
    if facts.back is S.CONNECTED and facts.front is S.INITIALISED:
        return Health(Severity.WARNING, f"stuck {late}: the guest has not taken our size and features; see its console")
    if facts.back is S.CLOSED:
        return Health(Severity.INFO, cell.reason)
    return Health(Severity.WARNING, f"{late} without a step: {cell.reason}")
