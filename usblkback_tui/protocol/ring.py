# SPDX-License-Identifier: MIT
"""Arithmetic of the shared ring's free-running 32-bit indices.  Source: xen/include/public/io/ring.h."""

from __future__ import annotations

MASK = 0xFFFF_FFFF


def distance(new: int, old: int) -> int:
    """Steps from ``old`` forward to ``new``, 0 .. 2**32 - 1, across the wrap."""
    return (new - old) & MASK


def overflows(req_prod: int, rsp_prod: int, slots: int) -> bool:
    """The frontend claims more outstanding requests than the ring has slots."""
    return distance(req_prod, rsp_prod) > slots


def wants_notify(old: int, new: int, event: int) -> bool:
    """Whether moving a producer index from ``old`` to ``new`` passed the index the other end wants an event for."""
    return distance(new, event) < distance(new, old)


def outstanding(req_prod: int, rsp_prod: int, slots: int) -> int:
    """Requests asked for and not answered, 0 .. slots, whatever a guest wrote."""
    return min(distance(req_prod, rsp_prod), slots)
