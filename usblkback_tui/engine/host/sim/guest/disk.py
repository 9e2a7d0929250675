# SPDX-License-Identifier: MIT
"""One disk as a frontend sees it, and how that frontend drives its ring."""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.protocol.blkif import NATIVE_PROTOCOL, SECTOR, SEGMENTS_DIRECT, Info, Op


@dataclass(frozen=True, slots=True)
class Manners:
    """What differs from one frontend's ring to another's; the defaults are Linux's."""

    protocol: str = NATIVE_PROTOCOL
    """The layout of its requests."""
    depth: int = 0
    """Requests under way at once, at most; 0: as many as the load wants."""
    id_base: int = 0
    id_step: int = 1
    """A request's id is ``id_base`` plus its slot times ``id_step``: an index, or the address of what it is about."""
    keep_grants: bool = False
    """Pages stay granted from one request to the next, though nobody said that they are persistent."""
    read_only_lists: bool = False
    """The pages of indirect segments are granted for reading only."""
    always_notifies: bool = False
    """An event after each request, whatever ``req_event`` says."""
    yields: bool = False
    """Responses are looked for, giving the processor away meanwhile; events are not waited for."""
    from_page_start: bool = False
    """Buffers begin where their first page does."""
    sync_barrier: bool = False
    """A flush is an empty barrier, if that is offered, and then a flush."""


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk, and how it may be used."""

    sectors: int
    info: Info
    flush: int = 0
    """The operation that flushes, or 0."""
    barrier: bool = False
    """Barriers are understood, whatever flushes."""
    discard: bool = False
    secure: bool = False
    discard_granularity: int = SECTOR
    """Bytes; discards are multiples of it, at least a sector."""
    discard_alignment: int = 0
    """Bytes from the start of the disk to the first unit, less than the granularity."""
    persistent: bool = False
    max_segments: int = SEGMENTS_DIRECT
    unit: int = 1
    """Sectors of 512 bytes in what this frontend calls a sector, on the disk and in a page."""

    @property
    def read_only(self) -> bool:
        return bool(self.info & (Info.READONLY | Info.CDROM))

    def __str__(self) -> str:
        """As blkfront announces it."""
        flush = {0: "none", Op.WRITE_BARRIER: "barrier", Op.FLUSH_DISKCACHE: "flush"}[self.flush]
        parts = [
            f"{self.sectors} sectors",
            *(str(flag.name).lower() for flag in Info if flag & self.info),
            f"flush: {flush}",
            f"persistent grants: {_yes(self.persistent)}",
            f"segments: {self.max_segments}",
            f"discard: {_yes(self.discard)}{', secure' if self.secure else ''}",
        ]
        return "; ".join(parts)


def _yes(value: bool) -> str:
    return "enabled" if value else "disabled"
