# SPDX-License-Identifier: MIT
"""What people look at closely and only when they ask: finished requests, the slots of a ring, nodes of the store.

Frozen values like those of ``snapshot.py``, each the answer to one verb of :class:`~usblkback_tui.engine.api.Backend`.
"""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.protocol.slots import SlotRequest, SlotResponse, SlotState


@dataclass(frozen=True, slots=True)
class RequestView:
    """One request that was answered."""

    ring: int
    """Index of its queue."""
    seq: int
    """Grows by one with each request of a ring; it goes on over reconnects, with a gap."""
    time: float
    """When it was answered, ``time.time()`` seconds."""
    op: str
    """``read``, ``write``, ``barrier``, ``flush``, ``discard``, or ``op 9``."""
    indirect: bool
    sector: int
    sectors: int
    segments: int
    """Pages of data."""
    latency_ns: int
    """From reading it off the ring to its answer."""
    status: str
    """``ok``, ``error``, ``unsupported``."""


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot.  A free one shows the answer that was left in it, if there ever was one."""

    index: int
    state: SlotState
    request: SlotRequest | None = None
    """Of a slot that is unread or in service."""
    response: SlotResponse | None = None
    """Of a slot that is free or responded."""


@dataclass(frozen=True, slots=True)
class RingSlots:
    """One ring at ``time`` (``time.time()`` seconds)."""

    ring: int
    time: float
    protocol: str
    req_prod: int
    req_cons: int
    rsp_prod: int
    req_event: int
    rsp_event: int
    slots: tuple[SlotView, ...]

    def at(self, number: int) -> int:
        """The slot that an index such as ``req_prod`` points at."""
        return number % len(self.slots)


@dataclass(frozen=True, slots=True)
class Permission:
    """What one domain may do with a node: ``r`` read, ``w`` write, ``b`` both, ``n`` nothing."""

    domid: int
    access: str


@dataclass(frozen=True, slots=True)
class StoreNode:
    """One node of the store."""

    path: str
    value: str
    """With escapes for what is no text."""
    children: tuple[str, ...]
    owner: int
    """The domain that, besides domain 0, may do everything."""
    others: str
    """What domains that are not listed may do, as in :class:`Permission`."""
    permissions: tuple[Permission, ...] = ()
    is_text: bool = True
    """The value is shown as it is; one that is not cannot be edited as text."""
