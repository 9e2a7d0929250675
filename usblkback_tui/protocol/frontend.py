# SPDX-License-Identifier: MIT
"""The frontend's directory: what a guest offers once it is Initialised.  All of it is guest-written and checked here.

Source: blkif.h, "Frontend XenBus Nodes".
"""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.protocol.blkif import NATIVE_PROTOCOL, PROTOCOLS
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import Read, parse_flag, parse_u32


@dataclass(frozen=True, slots=True)
class FrontendOffer:
    """One ring that a frontend asks to be served."""

    ring_refs: tuple[int, ...]
    """Grant references of the ring's pages, in order."""
    event_channel: int
    protocol: str = NATIVE_PROTOCOL
    persistent: bool = False
    """The frontend leaves granted pages granted."""


def parse_frontend(read: Read, *, max_ring_page_order: int = 0, max_queues: int = 1) -> FrontendOffer:
    """Read and check a frontend's transport keys.  Raises UserError naming the key, the value and the fix."""
    protocol = read("protocol")
    if protocol is None:
        protocol = NATIVE_PROTOCOL
    elif protocol not in PROTOCOLS:
        raise UserError(
            f"frontend key protocol is {protocol[:40]!r}",
            fix=f"it must be one of {', '.join(PROTOCOLS)}",
            key="protocol",
            value=protocol[:40],
        )
    _at_most(read, "multi-queue-num-queues", max_queues, "multi-queue-max-queues")
    order = _at_most(read, "ring-page-order", max_ring_page_order, "max-ring-page-order")
    return FrontendOffer(
        ring_refs=_ring_refs(read, order),
        event_channel=parse_u32("event-channel", read("event-channel")),
        protocol=protocol,
        persistent=parse_flag("feature-persistent", read("feature-persistent")),
    )


def _at_most(read: Read, key: str, limit: int, offered_as: str) -> int:
    """An optional number that may not exceed what the backend offered."""
    text = read(key)
    if text is None:
        return 0
    number = parse_u32(key, text)
    if number > limit:
        raise UserError(
            f"frontend key {key} is {number}", fix=f"{offered_as} offers at most {limit}", key=key, value=number
        )
    return number


def _ring_refs(read: Read, order: int) -> tuple[int, ...]:
    """``ring-ref`` for one page, ``ring-ref0`` .. for several; a single page may use either."""
    if order == 0 and (single := read("ring-ref")) is not None:
        return (parse_u32("ring-ref", single),)
    if order == 0 and read("ring-ref0") is None:
        return (parse_u32("ring-ref", None),)
    return tuple(parse_u32(f"ring-ref{i}", read(f"ring-ref{i}")) for i in range(1 << order))
