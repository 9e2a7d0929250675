# SPDX-License-Identifier: MIT
"""How many queues and ring pages a disk gets, and the keys that tell the backend of them: talk_to_blkback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from usblkback_tui.engine.host.sim._sim import lib
from usblkback_tui.engine.host.sim.guest.hypercalls import Hypercalls
from usblkback_tui.engine.host.sim.load import GuestOptions

MAX_RING_ORDER = 4


@dataclass(frozen=True, slots=True)
class Published:
    """What the backend has to know of one queue."""

    ring_refs: tuple[int, ...]
    port: int


def negotiate_queues(xen: Hypercalls, backend: str, options: GuestOptions) -> int:
    """As many as both ends allow, at least one.  More than the machine has processors are never used."""
    ours = min(options.max_queues, options.vcpus, int(lib.FRONT_MAX_QUEUES))
    return max(min(ours, xen.number(f"{backend}/multi-queue-max-queues", 1)), 1)


def negotiate_pages(xen: Hypercalls, backend: str, options: GuestOptions) -> int:
    """Pages of each ring, a power of two, by the scheme of ``ring_keys``.  Source: blkif.h, notes 1 to 3."""
    order = min(options.ring_order, MAX_RING_ORDER)
    if options.ring_keys == "pages":
        offered = max(xen.number(f"{backend}/max-ring-pages", 1), 1)
        return 1 << min(order, offered.bit_length() - 1)
    return 1 << min(order, xen.number(f"{backend}/max-ring-page-order"))


def transport_keys(queues: Sequence[Published], options: GuestOptions) -> dict[str, str]:
    """Keys below the frontend's directory: one queue's are at its top, those of several in directories of their own."""
    keys: dict[str, str] = {}
    pages = len(queues[0].ring_refs)
    if pages > 1 and options.ring_keys == "pages":
        keys["num-ring-pages"] = str(pages)
    elif pages > 1:
        keys["ring-page-order"] = str(pages.bit_length() - 1)
    if len(queues) > 1:
        keys["multi-queue-num-queues"] = str(len(queues))
    for number, queue in enumerate(queues):
        home = f"queue-{number}/" if len(queues) > 1 else ""
        names = [f"ring-ref{i}" for i in range(pages)] if pages > 1 else ["ring-ref"]
        keys |= {f"{home}{name}": str(ref) for name, ref in zip(names, queue.ring_refs, strict=True)}
        keys[f"{home}event-channel"] = str(queue.port)
    if options.protocol:
        keys["protocol"] = options.protocol
    keys["feature-persistent"] = str(int(options.persistent))
    return keys
