# SPDX-License-Identifier: MIT
"""What a block backend does in each pair of states, and why: one table, every cell.

The frontends behind the reasons: Linux xen-blkfront, winvbd, OVMF XenPvBlkDxe, GRUB, U-Boot, mini-os.
Two rules carry it:

* there is one way to connect (frontend Initialised or Connected) and one way to close (Closing, then Closed), however a
  frontend got there;
* Closed is stable: we leave it only when the frontend is back at Initialising, because some frontends poll for
  exactly 6.  A frontend that is Initialised has been there, seen or not: watches coalesce, and a boot loader that does
  not wait for InitWait (GRUB, NetBSD) may be quicker than we are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from usblkback_tui.protocol.states import XenbusState as S


class Action(Enum):
    """What the backend does next."""

    WAIT = "wait"
    OFFER = "publish features, go to InitWait"
    CONNECT = "map the ring, bind the event channel, go to Connected"
    CLOSE = "go to Closing, keep serving"
    DISCONNECT = "stop the ring, give everything back, go to Closed"
    RESTART = "stop the ring, give everything back, publish features, go to InitWait"


class Turn(Enum):
    """Whose move it is."""

    FRONTEND = "frontend"
    BACKEND = "backend"
    TOOLSTACK = "toolstack"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair of states."""

    action: Action
    turn: Turn
    reason: str


def _wait(turn: Turn, reason: str) -> Cell:
    return Cell(Action.WAIT, turn, reason)


def _do(action: Action, reason: str) -> Cell:
    return Cell(action, Turn.BACKEND, reason)


_FOREIGN = _wait(Turn.TOOLSTACK, "block backends do not reconfigure; somebody else wrote our state")

_EARLY = {
    S.UNKNOWN: _do(Action.OFFER, "a new device: be ready before the frontend looks"),
    S.INITIALISING: _do(Action.OFFER, "a new device: be ready before the frontend looks"),
}
"""We have not offered anything yet."""

_CONNECT_EARLY = "the frontend offers its ring without waiting for InitWait, which the protocol allows (OVMF, U-Boot)"
_CLOSE_EARLY = "the frontend closes before connecting, to end whatever an earlier driver left (winvbd)"

TABLE: dict[tuple[S, S], Cell] = {}
"""(frontend, backend) -> what to do; every pair is there."""

_ROWS: dict[S, dict[S, Cell]] = {
    S.UNKNOWN: _EARLY
    | {
        S.INIT_WAIT: _wait(Turn.FRONTEND, "the frontend's directory is not there yet"),
        S.INITIALISED: _do(Action.DISCONNECT, "the frontend's directory is gone"),
        S.CONNECTED: _do(Action.DISCONNECT, "the frontend's directory is gone: the guest ended or was destroyed"),
        S.CLOSING: _do(Action.DISCONNECT, "the frontend's directory is gone: nobody will answer our Closing"),
        S.CLOSED: _wait(Turn.TOOLSTACK, "both ends are gone; the toolstack removes the device"),
    },
    S.INITIALISING: _EARLY
    | {
        S.INIT_WAIT: _wait(Turn.FRONTEND, "the guest's driver has to make its ring and go to Initialised"),
        S.INITIALISED: _do(Action.OFFER, "Initialised is not a state of a block backend: offer again"),
        S.CONNECTED: _do(Action.RESTART, "the frontend starts anew without closing: the guest crashed or rebooted"),
        S.CLOSING: _do(Action.RESTART, "the frontend starts anew before its close ended"),
        S.CLOSED: _do(Action.OFFER, "the frontend is back: reconnect"),
    },
    S.INIT_WAIT: _EARLY
    | {
        S.INIT_WAIT: _wait(Turn.FRONTEND, "both ends wait; a block frontend moves first"),
        S.INITIALISED: _wait(Turn.FRONTEND, "both ends wait; a block frontend moves first"),
        S.CONNECTED: _wait(Turn.FRONTEND, "InitWait is not a state of a block frontend: wait for a real one"),
        S.CLOSING: _wait(Turn.FRONTEND, "the frontend has to close"),
        S.CLOSED: _wait(Turn.FRONTEND, "the frontend has to go to Initialising to start again"),
    },
    S.INITIALISED: {
        S.UNKNOWN: _do(Action.CONNECT, _CONNECT_EARLY),
        S.INITIALISING: _do(Action.CONNECT, _CONNECT_EARLY),
        S.INIT_WAIT: _do(Action.CONNECT, "the ring is offered: take it"),
        S.INITIALISED: _do(Action.CONNECT, "the ring is offered: take it"),
        S.CONNECTED: _wait(Turn.FRONTEND, "the guest's driver has to read our size and go to Connected"),
        S.CLOSING: _wait(Turn.FRONTEND, "we are closing; the frontend has to follow"),
        S.CLOSED: _do(Action.CONNECT, "a new ring: the frontend was at Initialising before we could look"),
    },
    S.CONNECTED: {
        S.UNKNOWN: _do(Action.CONNECT, _CONNECT_EARLY),
        S.INITIALISING: _do(Action.CONNECT, _CONNECT_EARLY),
        S.INIT_WAIT: _do(Action.CONNECT, "the frontend goes straight to Connected (OVMF, U-Boot): the ring is offered"),
        S.INITIALISED: _do(
            Action.CONNECT, "the frontend goes straight to Connected (OVMF, U-Boot): the ring is offered"
        ),
        S.CONNECTED: _wait(Turn.NOBODY, "connected"),
        S.CLOSING: _wait(Turn.FRONTEND, "the guest has to let go of the disk"),
        S.CLOSED: _wait(Turn.FRONTEND, "we are gone; the frontend has to notice and close"),
    },
    S.CLOSING: {
        S.UNKNOWN: _do(Action.CLOSE, _CLOSE_EARLY),
        S.INITIALISING: _do(Action.CLOSE, _CLOSE_EARLY),
        S.INIT_WAIT: _do(Action.CLOSE, _CLOSE_EARLY),
        S.INITIALISED: _do(Action.CLOSE, _CLOSE_EARLY),
        S.CONNECTED: _do(Action.CLOSE, "the frontend closes: serve its last requests"),
        S.CLOSING: _wait(Turn.FRONTEND, "both ends close; the frontend says when it is done"),
        S.CLOSED: _wait(Turn.FRONTEND, "we are closed; the frontend has to follow"),
    },
    S.CLOSED: {
        S.UNKNOWN: _do(Action.DISCONNECT, "the frontend waits for us to be Closed"),
        S.INITIALISING: _do(Action.DISCONNECT, "the frontend waits for us to be Closed"),
        S.INIT_WAIT: _do(Action.DISCONNECT, "the frontend waits for us to be Closed"),
        S.INITIALISED: _do(Action.DISCONNECT, "the frontend waits for us to be Closed"),
        S.CONNECTED: _do(Action.DISCONNECT, "the frontend is done without Closing first (GRUB)"),
        S.CLOSING: _do(Action.DISCONNECT, "the frontend is done: give everything back"),
        S.CLOSED: _wait(Turn.FRONTEND, "closed; it starts again when the frontend goes to Initialising"),
    },
}

_RECONFIGURE = _wait(Turn.FRONTEND, "block frontends do not reconfigure; wait for a state of the handshake")

for _front in S:
    for _back in S:
        if _front in (S.RECONFIGURING, S.RECONFIGURED):
            TABLE[_front, _back] = _RECONFIGURE
        elif _back in (S.RECONFIGURING, S.RECONFIGURED):
            TABLE[_front, _back] = _FOREIGN
        else:
            TABLE[_front, _back] = _ROWS[_front][_back]

_LEAVING = _wait(Turn.TOOLSTACK, "closed and offline; the toolstack removes the device")
_NOTHING_HELD = _do(Action.DISCONNECT, "the device is being removed and no ring of it is served")
_NEVER_CONNECTED = _do(Action.DISCONNECT, "the device is being removed and the frontend never connected")


def decide(front: S, back: S, *, online: bool = True, held: bool = True) -> Cell:
    """What to do now.

    Not ``online``: the device is being removed, so nothing new begins and Closed is final.  Not ``held``: we have no
    ring of it, so nothing is lost by not waiting for a frontend that may have given up.
    """
    cell = TABLE[front, back]
    if online:
        return cell
    if back is S.CLOSED:
        return _LEAVING
    if cell.action in (Action.OFFER, Action.CONNECT, Action.RESTART):
        return _NEVER_CONNECTED
    if back is S.CLOSING and front is S.INIT_WAIT:
        return _NEVER_CONNECTED
    if back is S.CLOSING and front in (S.INITIALISED, S.CONNECTED) and not held:
        return _NOTHING_HELD
    return cell
