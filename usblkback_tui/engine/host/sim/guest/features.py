# SPDX-License-Identifier: MIT
"""What a backend says of its disk, as blkfront_gather_backend_features reads it."""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.engine.host.sim._sim import lib
from usblkback_tui.engine.host.sim.guest.hypercalls import Hypercalls
from usblkback_tui.engine.host.sim.load import GuestOptions
from usblkback_tui.protocol.blkif import SECTOR, SEGMENTS_DIRECT, Info, Op


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk, and how it may be used."""

    sectors: int
    info: Info
    flush: int = 0
    """The operation that flushes, or 0."""
    discard: bool = False
    secure: bool = False
    discard_granularity: int = SECTOR
    """Bytes; discards are multiples of it, at least a sector."""
    discard_alignment: int = 0
    """Bytes from the start of the disk to the first unit, less than the granularity."""
    persistent: bool = False
    max_segments: int = SEGMENTS_DIRECT

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


def gather(xen: Hypercalls, backend: str, options: GuestOptions) -> Disk:
    """Raises ValueError naming the keys that are fatal to miss."""
    texts = {key: xen.read(f"{backend}/{key}") for key in ("sectors", "info", "sector-size")}
    missing = [key for key, text in texts.items() if text is None or not text.isdecimal()]
    if missing:
        raise ValueError(", ".join(missing))

    def offered(key: str) -> int:
        return xen.number(f"{backend}/{key}")

    flush, barrier = offered("feature-flush-cache"), offered("feature-barrier")
    discard = bool(offered("feature-discard"))
    physical = xen.number(f"{backend}/physical-sector-size", int(texts["sector-size"] or SECTOR))
    unit = _in_sectors(offered("discard-granularity") or physical) or SECTOR
    segments = min(options.max_segments, lib.FRONT_MAX_SEGMENTS, offered("feature-max-indirect-segments"))
    return Disk(
        sectors=int(texts["sectors"] or 0),
        info=Info(int(texts["info"] or 0) & 7),
        flush=Op.FLUSH_DISKCACHE if flush else Op.WRITE_BARRIER if barrier else 0,
        discard=discard,
        secure=discard and bool(offered("discard-secure")),
        discard_granularity=unit,
        discard_alignment=_in_sectors(offered("discard-alignment")) % unit,
        persistent=options.persistent and bool(offered("feature-persistent")),
        max_segments=max(segments, SEGMENTS_DIRECT),
    )


def _in_sectors(size: int) -> int:
    """An unsigned int of bytes, as whole sectors."""
    return -(-min(size, 0xFFFF_FFFF) // SECTOR) * SECTOR


def _yes(value: bool) -> str:
    return "enabled" if value else "disabled"
