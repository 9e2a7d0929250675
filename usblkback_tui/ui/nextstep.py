# SPDX-License-Identifier: MIT
"""Which end of a vbd has to move next, and how: one sentence for each pair of states that waits for somebody.

Source: the state diagrams in xen/include/public/io/blkif.h and what frontends in the field do.
"""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.protocol.states import XenbusState as S


@dataclass(frozen=True, slots=True)
class Step:
    """``end`` (``frontend`` or ``backend``) should do ``action``; ``state`` is the one it then writes."""

    end: str
    state: S
    action: str


_TALK = Step("frontend", S.INITIALISED, "publish its ring references and event channel")
_SERVE = Step("backend", S.CONNECTED, "map the ring and publish the size")
_READ = Step("frontend", S.CONNECTED, "read the size and add the disk")
_OFFER = Step("backend", S.INIT_WAIT, "open the image and publish its features")
_FRONT_CLOSES = Step("frontend", S.CLOSING, "stop using the disk")
_FRONT_CLOSED = Step("frontend", S.CLOSED, "drop its ring")
_BACK_CLOSES = Step("backend", S.CLOSING, "finish what is in flight")
_BACK_CLOSED = Step("backend", S.CLOSED, "unmap the ring")

_STEPS: dict[tuple[S, S], Step] = {
    (S.UNKNOWN, S.INITIALISING): _OFFER,
    (S.INITIALISING, S.UNKNOWN): _OFFER,
    (S.INITIALISING, S.INITIALISING): _OFFER,
    (S.INITIALISING, S.INIT_WAIT): _TALK,
    (S.INIT_WAIT, S.INIT_WAIT): _TALK,
    (S.INITIALISED, S.INITIALISING): _OFFER,
    (S.INITIALISED, S.INIT_WAIT): _SERVE,
    (S.CONNECTED, S.INIT_WAIT): _SERVE,
    (S.CONNECTED, S.INITIALISED): _SERVE,
    (S.INITIALISED, S.CONNECTED): _READ,
    (S.CONNECTED, S.CLOSING): _FRONT_CLOSES,
    (S.CLOSING, S.CLOSING): _FRONT_CLOSED,
    (S.CLOSING, S.CONNECTED): _BACK_CLOSES,
    (S.CLOSED, S.CONNECTED): _BACK_CLOSED,
    (S.CLOSED, S.CLOSING): _BACK_CLOSED,
    (S.CLOSING, S.CLOSED): _FRONT_CLOSED,
    (S.CONNECTED, S.CLOSED): _FRONT_CLOSES,
    (S.INITIALISING, S.CLOSED): Step("backend", S.INIT_WAIT, "offer the disk again"),
    (S.CLOSED, S.INIT_WAIT): Step("frontend", S.INITIALISING, "take the disk up again"),
    (S.CLOSED, S.CLOSED): Step("frontend", S.INITIALISING, "take the disk up again"),
}


def next_step(frontend: S, backend: S, *, online: bool = True) -> Step | None:
    """What the handshake waits for; None when both ends are Connected, at rest, or somewhere no rule names."""
    if (frontend, backend) == (S.CLOSED, S.CLOSED) and not online:
        return None
    return _STEPS.get((frontend, backend))
