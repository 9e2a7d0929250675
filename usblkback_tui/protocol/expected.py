# SPDX-License-Identifier: MIT
"""The step a handshake waits for: whose it is, what it is, and how long it may take.

The reasons come from the transition table; the deadlines are those of libxl, which tears a device down when its backend
does not move, and the patience after which we call a guest late.  Source: xen/tools/libs/light/libxl_internal.h
(LIBXL_INIT_TIMEOUT, LIBXL_DESTROY_TIMEOUT, LIBXL_HOTPLUG_TIMEOUT).
"""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.transitions import Action, Turn, decide

INIT_SECONDS = 10.0
"""libxl waits so long for a new device's backend to reach InitWait."""
DESTROY_SECONDS = 10.0
"""libxl waits so long for Closed before it removes a device by force."""
HOTPLUG_SECONDS = 40.0
"""libxl waits so long for a hotplug script; opening an image is our part of what such a script does."""
PATIENCE = 10.0
"""Nobody enforces a guest's next step; after so long we say that it is late."""

_FRONTEND_STEPS = {
    S.INIT_WAIT: "write ring-ref and event-channel, then go to Initialised",
    S.CONNECTED: "read the disk's size and features, then go to Connected",
    S.CLOSING: "let go of the disk and go to Closed",
    S.CLOSED: "go to Initialising to start again",
}
"""By our state: what the other end does next."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The next step of a handshake."""

    who: str
    """``frontend``, ``backend`` or ``toolstack``."""
    what: str
    """What they have to do."""
    reason: str
    """Why, in the words of the transition table."""
    seconds: float
    """How long it may take, from the last step on; 0: as long as it likes."""


def expected_step(front: S, back: S, *, online: bool = True, opening: bool = False) -> Expected | None:
    """Whose turn it is; None when both ends are Connected and have nothing to do.

    ``opening``: the backend cannot move before its image is open.
    """
    cell = decide(front, back, online=online)
    if cell.turn is Turn.NOBODY:
        return None
    if cell.turn is Turn.BACKEND:
        if opening and cell.action in (Action.OFFER, Action.CONNECT, Action.RESTART):
            return Expected("backend", "open the image", cell.reason, HOTPLUG_SECONDS)
        return Expected("backend", cell.action.value, cell.reason, _backend_seconds(cell.action))
    if cell.turn is Turn.TOOLSTACK:
        what = "remove the device" if back in (S.CLOSED, S.UNKNOWN) else "give it a state of the handshake"
        return Expected("toolstack", what, cell.reason, DESTROY_SECONDS if not online else 0.0)
    return Expected("frontend", _frontend_step(front, back), cell.reason, _frontend_seconds(back))


def _backend_seconds(action: Action) -> float:
    return DESTROY_SECONDS if action in (Action.CLOSE, Action.DISCONNECT) else INIT_SECONDS


def _frontend_step(front: S, back: S) -> str:
    if front is S.CLOSING:
        return "go to Closed"
    if front is S.UNKNOWN and back is S.INIT_WAIT:
        return "appear: its directory is not there yet"
    return _FRONTEND_STEPS.get(back, "take a step of the handshake")


def _frontend_seconds(back: S) -> float:
    if back is S.CLOSING:
        return DESTROY_SECONDS
    return 0.0 if back is S.CLOSED else PATIENCE
