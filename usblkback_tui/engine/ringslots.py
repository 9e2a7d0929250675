# SPDX-License-Identifier: MIT
"""A shared ring slot by slot, as it was at one moment.

The bytes are copied once, in one piece, while the ring is held; everything after that works on the copy.  The guest
goes on writing meanwhile, so the indices and the bytes need not fit together: this is for looking, nothing is served
from it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from usblkback_tui.engine.datapath.ring import Indices, RingServer
from usblkback_tui.engine.inspection import RingSlots, SlotView
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.slots import SlotState, decode_request, decode_response, slot_bytes, slot_states


@dataclass(frozen=True, slots=True)
class RingCopy:
    """What is taken of a ring while it is held."""

    ring: int
    time: float
    protocol: str
    indices: Indices
    memory: bytes
    """All its pages."""


def copy_ring(title: str, rings: Sequence[RingServer], index: int) -> RingCopy:
    """Take a copy of ring ``index`` of the disk ``title``; the caller holds what keeps it mapped.  Raises UserError."""
    if not 0 <= index < len(rings):
        known = f"it has rings 0 to {len(rings) - 1}" if rings else "wait until both ends are Connected"
        raise UserError(f"{title} serves no ring {index}", fix=known, key="ring", value=index)
    ring = rings[index]
    return RingCopy(index, time.time(), ring.config.protocol, ring.indices(), ring.memory())


def decode_ring(copy: RingCopy) -> RingSlots:
    """Every slot of it."""
    at = copy.indices
    states = slot_states(
        req_prod=at.req_prod, req_cons=at.req_cons, rsp_prod=at.rsp_prod, rsp_event=at.rsp_event, slots=at.slots
    )
    return RingSlots(
        ring=copy.ring,
        time=copy.time,
        protocol=copy.protocol,
        req_prod=at.req_prod,
        req_cons=at.req_cons,
        rsp_prod=at.rsp_prod,
        req_event=at.req_event,
        rsp_event=at.rsp_event,
        slots=tuple(_slot(copy, index, state) for index, state in enumerate(states)),
    )


def _slot(copy: RingCopy, index: int, state: SlotState) -> SlotView:
    data = slot_bytes(copy.memory, index, copy.protocol)
    if state in (SlotState.UNREAD, SlotState.SERVICE):
        return SlotView(index, state, request=decode_request(data, copy.protocol))
    if state is SlotState.FREE and not any(data):
        return SlotView(index, state)  # never used
    return SlotView(index, state, response=decode_response(data, copy.protocol))
