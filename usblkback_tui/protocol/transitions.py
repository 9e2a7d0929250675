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
    source: str
    """Where the other end's part of it can be read."""


def _wait(turn: Turn, reason: str, source: str) -> Cell:
    return Cell(Action.WAIT, turn, reason, source)


def _do(action: Action, reason: str, source: str) -> Cell:
    return Cell(action, Turn.BACKEND, reason, source)


_XENBUS = "xen/include/public/io/xenbus.h"
_BLKIF = "xen/include/public/io/blkif.h, Startup"
_BLKBACK = "Linux drivers/block/xen-blkback/xenbus.c, frontend_changed"
_BLKFRONT = "Linux drivers/block/xen-blkfront.c, blkback_changed"
_LIBXL = "xen/tools/libs/light/libxl_device.c"
_LOADERS = "edk2 OvmfPkg/XenPvBlkDxe/BlockFront.c; U-Boot drivers/xen/pvblock.c"
_POLLERS = "GRUB grub-core/disk/xen/xendisk.c; edk2 BlockFront.c"
_WINVBD = "win-xenvbd src/xenvbd/frontend.c, FrontendClose"


_FOREIGN = _wait(Turn.TOOLSTACK, "block backends do not reconfigure; somebody else wrote our state", _XENBUS)

_EARLY = {
    S.UNKNOWN: _do(Action.OFFER, "a new device: be ready before the frontend looks", _BLKBACK),
    S.INITIALISING: _do(Action.OFFER, "a new device: be ready before the frontend looks", _BLKBACK),
}
"""We have not offered anything yet."""

_CONNECT_EARLY = "the frontend offers its ring without waiting for InitWait, which the protocol allows (OVMF, U-Boot)"
_CLOSE_EARLY = "the frontend closes before connecting, to end whatever an earlier driver left (winvbd)"

TABLE: dict[tuple[S, S], Cell] = {}
"""(frontend, backend) -> what to do; every pair is there."""

_ROWS: dict[S, dict[S, Cell]] = {
    S.UNKNOWN: _EARLY
    | {
        S.INIT_WAIT: _wait(Turn.FRONTEND, "the frontend's directory is not there yet", _LIBXL),
        S.INITIALISED: _do(Action.DISCONNECT, "the frontend's directory is gone", _LIBXL),
        S.CONNECTED: _do(
            Action.DISCONNECT, "the frontend's directory is gone: the guest ended or was destroyed", _LIBXL
        ),
        S.CLOSING: _do(Action.DISCONNECT, "the frontend's directory is gone: nobody will answer our Closing", _LIBXL),
        S.CLOSED: _wait(Turn.TOOLSTACK, "both ends are gone; the toolstack removes the device", _LIBXL),
    },
    S.INITIALISING: _EARLY
    | {
        S.INIT_WAIT: _wait(Turn.FRONTEND, "the guest's driver has to make its ring and go to Initialised", _BLKIF),
        S.INITIALISED: _do(Action.OFFER, "Initialised is not a state of a block backend: offer again", _BLKIF),
        S.CONNECTED: _do(
            Action.RESTART, "the frontend starts anew without closing: the guest crashed or rebooted", _BLKFRONT
        ),
        S.CLOSING: _do(Action.RESTART, "the frontend starts anew before its close ended", _BLKFRONT),
        S.CLOSED: _do(Action.OFFER, "the frontend is back: reconnect", _BLKBACK),
    },
    S.INIT_WAIT: _EARLY
    | {
        S.INIT_WAIT: _wait(Turn.FRONTEND, "both ends wait; a block frontend moves first", _BLKIF),
        S.INITIALISED: _wait(Turn.FRONTEND, "both ends wait; a block frontend moves first", _BLKIF),
        S.CONNECTED: _wait(Turn.FRONTEND, "InitWait is not a state of a block frontend: wait for a real one", _BLKIF),
        S.CLOSING: _wait(Turn.FRONTEND, "the frontend has to close", _BLKIF),
        S.CLOSED: _wait(Turn.FRONTEND, "the frontend has to go to Initialising to start again", _BLKIF),
    },
    S.INITIALISED: {
        S.UNKNOWN: _do(Action.CONNECT, _CONNECT_EARLY, _LOADERS),
        S.INITIALISING: _do(Action.CONNECT, _CONNECT_EARLY, _LOADERS),
        S.INIT_WAIT: _do(Action.CONNECT, "the ring is offered: take it", _BLKBACK),
        S.INITIALISED: _do(Action.CONNECT, "the ring is offered: take it", _BLKBACK),
        S.CONNECTED: _wait(Turn.FRONTEND, "the guest's driver has to read our size and go to Connected", _BLKFRONT),
        S.CLOSING: _wait(Turn.FRONTEND, "we are closing; the frontend has to follow", _BLKFRONT),
        S.CLOSED: _do(Action.CONNECT, "a new ring: the frontend was at Initialising before we could look", _BLKIF),
    },
    S.CONNECTED: {
        S.UNKNOWN: _do(Action.CONNECT, _CONNECT_EARLY, _LOADERS),
        S.INITIALISING: _do(Action.CONNECT, _CONNECT_EARLY, _LOADERS),
        S.INIT_WAIT: _do(
            Action.CONNECT, "the frontend goes straight to Connected (OVMF, U-Boot): the ring is offered", _LOADERS
        ),
        S.INITIALISED: _do(
            Action.CONNECT, "the frontend goes straight to Connected (OVMF, U-Boot): the ring is offered", _LOADERS
        ),
        S.CONNECTED: _wait(Turn.NOBODY, "connected", _BLKIF),
        S.CLOSING: _wait(Turn.FRONTEND, "the guest has to let go of the disk", _BLKFRONT),
        S.CLOSED: _wait(Turn.FRONTEND, "we are gone; the frontend has to notice and close", _BLKFRONT),
    },
    S.CLOSING: {
        S.UNKNOWN: _do(Action.CLOSE, _CLOSE_EARLY, _WINVBD),
        S.INITIALISING: _do(Action.CLOSE, _CLOSE_EARLY, _WINVBD),
        S.INIT_WAIT: _do(Action.CLOSE, _CLOSE_EARLY, _WINVBD),
        S.INITIALISED: _do(Action.CLOSE, _CLOSE_EARLY, _WINVBD),
        S.CONNECTED: _do(Action.CLOSE, "the frontend closes: serve its last requests", _BLKBACK),
        S.CLOSING: _wait(Turn.FRONTEND, "both ends close; the frontend says when it is done", _BLKFRONT),
        S.CLOSED: _wait(Turn.FRONTEND, "we are closed; the frontend has to follow", _BLKFRONT),
    },
    S.CLOSED: {
        S.UNKNOWN: _do(Action.DISCONNECT, "the frontend waits for us to be Closed", _POLLERS),
        S.INITIALISING: _do(Action.DISCONNECT, "the frontend waits for us to be Closed", _POLLERS),
        S.INIT_WAIT: _do(Action.DISCONNECT, "the frontend waits for us to be Closed", _POLLERS),
        S.INITIALISED: _do(Action.DISCONNECT, "the frontend waits for us to be Closed", _POLLERS),
        S.CONNECTED: _do(Action.DISCONNECT, "the frontend is done without Closing first (GRUB)", _POLLERS),
        S.CLOSING: _do(Action.DISCONNECT, "the frontend is done: give everything back", _BLKBACK),
        S.CLOSED: _wait(Turn.FRONTEND, "closed; it starts again when the frontend goes to Initialising", _BLKBACK),
    },
}

_RECONFIGURE = _wait(Turn.FRONTEND, "block frontends do not reconfigure; wait for a state of the handshake", _XENBUS)

for _front in S:
    for _back in S:
        if _front in (S.RECONFIGURING, S.RECONFIGURED):
            TABLE[_front, _back] = _RECONFIGURE
        elif _back in (S.RECONFIGURING, S.RECONFIGURED):
            TABLE[_front, _back] = _FOREIGN
        else:
            TABLE[_front, _back] = _ROWS[_front][_back]

_LEAVING = _wait(Turn.TOOLSTACK, "closed and offline; the toolstack removes the device", _LIBXL)
_NOTHING_HELD = _do(Action.DISCONNECT, "the device is being removed and no ring of it is served", _LIBXL)
_NEVER_CONNECTED = _do(Action.DISCONNECT, "the device is being removed and the frontend never connected", _LIBXL)


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


def transitions_page() -> str:
    """docs/transitions.md: the whole table."""
    lines = [
        "# What the backend does in each pair of states",
        "",
        "Made from `usblkback_tui/protocol/transitions.py` by `scripts/transitions_page.py`.",
        "",
        "A step reads both `state` keys and does what the pair calls for; then it reads them again. Whose turn it is",
        "tells who is late when nothing moves. `wait` means that somebody else has to move.",
        "",
    ]
    for front in S:
        lines += [f"## Frontend {front.word} ({int(front)})", ""]
        lines += ["| backend | does | turn | why | source |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(back, decide(front, back)) for back in S]
        lines.append("")
    lines += [
        "## While the device is being removed (`online` is 0)",
        "",
        "Nothing new begins, and Closed is final. Only these cells differ:",
        "",
        "| frontend | backend | does | turn | why | source |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for front, back in TABLE:
        if (cell := decide(front, back, online=False)) != TABLE[front, back]:
            lines.append(f"| {front.word} {_row(back, cell)}")
    return "\n".join(lines) + "\n"


def _row(back: S, cell: Cell) -> str:
    return f"| {back.word} | {cell.action.value} | {cell.turn.value} | {cell.reason} | {cell.source} |"
