# SPDX-License-Identifier: MIT
"""Numbers of the block interface.  Source: xen/include/public/io/blkif.h and ring.h."""

from __future__ import annotations

from enum import IntEnum, IntFlag

SECTOR = 512
"""Bytes in a sector, the unit of everything in the protocol whatever ``sector-size`` says."""

PAGE = 4096
SEGMENTS_DIRECT = 11
"""Pages in a request that is not indirect."""

MAX_INDIRECT_SEGMENTS = 4096
"""8 indirect pages of 512 segments."""

MAX_RING_PAGE_ORDER = 4
"""Rings of up to 16 pages."""

MAX_QUEUES = 16

RING_HEADER = 64
"""Bytes before the first slot of the shared ring."""

PROTOCOLS = {"x86_64-abi": 112, "x86_32-abi": 108, "arm-abi": 112}
"""Request layouts by the frontend's ``protocol`` key, with the bytes of a ring slot."""

NATIVE_PROTOCOL = "x86_64-abi"
"""What a frontend without a ``protocol`` key uses, on a 64-bit host."""


class Op(IntEnum):
    """``operation`` of a request."""

    READ = 0
    WRITE = 1
    WRITE_BARRIER = 2
    FLUSH_DISKCACHE = 3
    DISCARD = 5
    INDIRECT = 6


class Status(IntEnum):
    """``status`` of a response."""

    OKAY = 0
    ERROR = -1
    EOPNOTSUPP = -2


class Info(IntFlag):
    """The backend's ``info`` key."""

    CDROM = 1
    REMOVABLE = 2
    READONLY = 4


def ring_slots(pages: int, protocol: str) -> int:
    """Requests a ring of ``pages`` pages holds: the largest power of two that fits.  Raises KeyError."""
    room = (pages * PAGE - RING_HEADER) // PROTOCOLS[protocol]
    return 1 << (room.bit_length() - 1)


def sectors_in(size: int) -> int:
    """512-byte sectors in ``size`` bytes.  Raises ValueError when that is no whole number of them."""
    if size < 0 or size % SECTOR:
        raise ValueError(f"{size} bytes is not a multiple of {SECTOR}")
    return size // SECTOR


def fits(sector: int, count: int, sectors: int) -> bool:
    """Whether ``count`` sectors from ``sector`` lie inside a disk of ``sectors``, as 64-bit code must ask it.

    Written without ``sector + count``, which wraps for a guest that starts near 2**64.
    """
    return 0 <= sector <= sectors and 0 <= count <= sectors - sector
