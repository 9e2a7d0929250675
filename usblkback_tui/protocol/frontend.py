# SPDX-License-Identifier: MIT
"""The frontend's directory: what a guest offers once it is Initialised.  All of it is guest-written and checked here.

    ring-ref, event-channel                       one queue with a ring of one page
    ring-page-order or num-ring-pages, ring-ref0  .. a ring of several pages
    multi-queue-num-queues, queue-0/ring-ref      .. several queues, each with its own ring and port

Source: blkif.h, "Frontend XenBus Nodes"; drivers/block/xen-blkfront.c for who writes what.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from usblkback_tui.protocol.blkif import MAX_QUEUES, MAX_RING_PAGE_ORDER, NATIVE_PROTOCOL, PROTOCOLS
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import Read, parse_flag, parse_u32


@dataclass(frozen=True, slots=True)
class QueueOffer:
    """One ring that a frontend asks to be served."""

    ring_refs: tuple[int, ...]
    """Grant references of the ring's pages, in order."""
    event_channel: int


@dataclass(frozen=True, slots=True)
class FrontendOffer:
    """All queues of a frontend; every ring has the same number of pages."""

    queues: tuple[QueueOffer, ...]
    protocol: str = NATIVE_PROTOCOL
    persistent: bool = False
    """The frontend leaves granted pages granted."""


def parse_frontend(read: Read, *, max_ring_page_order: int = 0, max_queues: int = 1) -> FrontendOffer:
    """Read and check a frontend's transport keys.  Raises UserError naming the key, the value and the fix."""
    protocol = read("protocol")
    if protocol is None:
        protocol = NATIVE_PROTOCOL
    elif protocol not in PROTOCOLS:
        raise _wrong("protocol", repr(protocol[:40]), f"it must be one of {', '.join(PROTOCOLS)}")
    count = _queues(read, min(max_queues, MAX_QUEUES))
    order = _order(read, min(max_ring_page_order, MAX_RING_PAGE_ORDER))
    # a frontend with one queue keeps its keys in the directory itself, also when it says that it has one
    prefixes = [f"queue-{index}/" for index in range(count)] if count > 1 else [""]
    queues = tuple(
        QueueOffer(_ring_refs(read, prefix, order), parse_u32(key := f"{prefix}event-channel", read(key)))
        for prefix in prefixes
    )
    _no_twins(prefixes, queues)
    return FrontendOffer(queues, protocol, parse_flag("feature-persistent", read("feature-persistent")))


def _queues(read: Read, limit: int) -> int:
    text = read(key := "multi-queue-num-queues")
    if text is None:
        return 1
    count = parse_u32(key, text)
    if count == 0:
        raise _wrong(key, count, "a disk has at least one queue")
    if count > limit:
        raise _wrong(key, count, f"multi-queue-max-queues offers at most {limit}")
    return count


def _order(read: Read, limit: int) -> int:
    """Log2 of the pages of each ring, from either of the two keys that say it; both must agree."""
    order = pages = None
    if (text := read("ring-page-order")) is not None:
        order = parse_u32("ring-page-order", text)
        if order > limit:
            raise _wrong("ring-page-order", order, f"max-ring-page-order offers at most {limit}")
    if (text := read("num-ring-pages")) is not None:
        pages = parse_u32("num-ring-pages", text)
        if pages > 1 << limit:
            raise _wrong("num-ring-pages", pages, f"max-ring-pages offers at most {1 << limit}")
        if pages == 0 or pages & (pages - 1):
            raise _wrong("num-ring-pages", pages, "it must be a power of two")
        if order is not None and pages != 1 << order:
            raise _wrong("num-ring-pages", pages, f"ring-page-order {order} means {1 << order}")
        return pages.bit_length() - 1
    return order or 0


def _ring_refs(read: Read, prefix: str, order: int) -> tuple[int, ...]:
    """``ring-ref`` for one page, ``ring-ref0`` .. for several; a single page may use either.

    A ``ring-ref`` beside the numbered ones is what an earlier driver left, a boot loader's for example.
    """
    single, first = f"{prefix}ring-ref", f"{prefix}ring-ref0"
    if order == 0 and ((text := read(single)) is not None or read(first) is None):
        return (parse_u32(single, text),)
    return tuple(parse_u32(key := f"{single}{page}", read(key)) for page in range(1 << order))


def _no_twins(prefixes: list[str], queues: tuple[QueueOffer, ...]) -> None:
    """One page cannot be two parts of a ring, and one port cannot wake two queues."""

    def named() -> Iterator[tuple[str, str, int]]:
        for prefix, queue in zip(prefixes, queues, strict=True):
            numbered = len(queue.ring_refs) > 1
            for page, ref in enumerate(queue.ring_refs):
                yield "ring-ref", f"{prefix}ring-ref{page if numbered else ''}", ref
            yield "event-channel", f"{prefix}event-channel", queue.event_channel

    seen: dict[tuple[str, int], str] = {}
    for kind, key, number in named():
        if (other := seen.setdefault((kind, number), key)) != key:
            raise _wrong(key, number, f"{other} is the same, and each needs its own")


def _wrong(key: str, shown: object, fix: str) -> UserError:
    return UserError(f"frontend key {key} is {shown}", fix=fix, key=key, value=str(shown).strip("'"))
