# SPDX-License-Identifier: MIT
"""What a disk's frontend is offered: the settings, cut to what the host can map.

A guest with every request slot in use has all the pages of those requests mapped here at once.  On a host with room for
few pages (``Caps.max_grant_pages``) the offer is made so small that ``max_disks`` such guests fit beside each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from usblkback_tui.engine.host.seam import Caps
from usblkback_tui.engine.image.raw import RawImage
from usblkback_tui.engine.settings import DiskOptions, EngineSettings
from usblkback_tui.engine.snapshot import Limits
from usblkback_tui.protocol.backend import BackendIdentity, Offer
from usblkback_tui.protocol.blkif import NATIVE_PROTOCOL, SECTOR, SEGMENTS_DIRECT, ring_slots

_SEGMENTS_PER_INDIRECT_PAGE = 512


def limits_of(settings: EngineSettings, caps: Caps) -> Limits:
    """The largest rings and requests to offer for a disk that is served with ``settings``."""
    limits = Limits(
        queues=1 if caps.single_map else settings.max_queues,
        ring_pages=1 << settings.max_ring_page_order,
        segments=settings.indirect_segments,
        persistent_pages=settings.persistent_pages if settings.persistent_grants else 0,
    )
    if not caps.max_grant_pages:
        return limits
    share = max(caps.max_grant_pages // settings.max_disks, LEAST_PAGES)
    fitting = next((one for one in _smaller(limits) if pages_needed(one) <= share), _LEAST)
    rings = fitting.queues * fitting.ring_pages
    return replace(fitting, persistent_pages=min(limits.persistent_pages, share - rings))


def pages_needed(limits: Limits) -> int:
    """Pages mapped at a time, at most, by a guest that takes all of an offer."""
    indirect = -(-limits.segments // _SEGMENTS_PER_INDIRECT_PAGE)
    request = max(limits.segments, SEGMENTS_DIRECT) + indirect
    return limits.queues * (limits.ring_pages + ring_slots(limits.ring_pages, NATIVE_PROTOCOL) * request)


_LEAST = Limits(queues=1, ring_pages=1, segments=0)
LEAST_PAGES = pages_needed(_LEAST)
"""No disk can be served with fewer."""


def _smaller(limits: Limits) -> Iterator[Limits]:
    """Ever less: larger rings and more queues go first, then the size of requests."""
    yield limits
    while limits.ring_pages > 1:
        limits = replace(limits, ring_pages=limits.ring_pages // 2)
        yield limits
    while limits.queues > 1:
        limits = replace(limits, queues=limits.queues - 1)
        yield limits
    while limits.segments:
        half = limits.segments // 2
        limits = replace(limits, segments=half if half > SEGMENTS_DIRECT else 0)
        yield limits


def offer_of(
    identity: BackendIdentity,
    options: DiskOptions,
    settings: EngineSettings,
    limits: Limits,
    image: RawImage,
    sectors: int,
) -> Offer:
    """What is published about a disk whose image is open and now has ``sectors``."""
    discard = image.discard
    offered = discard.supported and identity.writable and identity.discard_enabled
    return Offer(
        sectors=sectors,
        readonly=not identity.writable,
        cdrom=identity.cdrom,
        removable=identity.removable,
        sector_size=options.sector_size,
        physical_sector_size=image.physical_sector_size,
        persistent=settings.persistent_grants,
        max_ring_page_order=limits.ring_pages.bit_length() - 1,
        max_queues=limits.queues,
        indirect_segments=limits.segments,
        discard=offered,
        secure_discard=offered and discard.secure,
        discard_granularity=max(discard.granularity, SECTOR),
        discard_alignment=discard.alignment,
    )
