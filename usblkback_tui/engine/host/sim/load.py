# SPDX-License-Identifier: MIT
"""The load a guest makes on a disk, how the guest is built, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.engine.settings import GuestSettings

ONLY_VBD = ("illumos",)
"""Frontends that find backends of kind ``vbd`` only."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one disk has to carry, in fio's terms."""

    read_percent: int = 70
    block_bytes: int = 4096
    """A multiple of 512; more than the negotiated maximum is cut to it."""
    depth: int = 8
    """Requests under way at once, over all queues of the disk."""
    rate: int = 0
    """Requests a second at most; 0 is as fast as it goes."""
    span_bytes: int = 0
    """Use only the start of the disk; 0 is all of it."""
    flush_every: int = 0
    """A flush after so many writes; 0 is never."""
    fua_every: int = 0
    """A write that is durable when it is done (FUA) after so many writes; 0 is never.  Where only barriers are offered
    it is a barrier with data if it fits 11 pages, else a write and a flush after it."""
    discard_every: int = 0
    """A discard after so many writes, where the backend offers it; 0 is never.  Whole units of its granularity."""
    secure_every: int = 0
    """A secure one of so many discards, where the backend offers it; 0 is never."""
    sequential: bool = False
    verify: bool = True
    """Mark what is written and compare what is read."""
    spin: bool = False
    """Never sleep: for measuring a backend, not for a machine that does anything else."""
    seed: int = 1

    @classmethod
    def of(cls, settings: GuestSettings) -> Load:
        """The load an operator described."""
        return cls(
            read_percent=settings.read_percent,
            block_bytes=settings.block_kib * 1024,
            depth=settings.depth,
            rate=settings.rate,
            flush_every=256,
        )


@dataclass(frozen=True, slots=True)
class GuestOptions:
    """The machine and its frontend driver."""

    memory_mib: int = 64
    """A load takes a page for each 4 KiB it has under way, and keeps it."""
    vcpus: int = 4
    """A disk never has more queues than these."""
    persistent: bool = True
    """blkfront's feature_persistent: offer to keep grants."""
    protocol: str = "x86_64-abi"
    """Or ``x86_32-abi``; empty: the key is not written and the layout is x86_64."""
    max_segments: int = 32
    """blkfront's max_indirect_segments, which is 32 in Linux; at most 4096."""
    ring_order: int = 0
    """blkfront's max_ring_page_order: rings of ``1 << ring_order`` pages where the backend offers them; at most 4."""
    ring_keys: str = "order"
    """The keys for rings of several pages: ``order`` (ring-page-order), as Linux, or ``pages`` (num-ring-pages)."""
    max_queues: int = 1
    """blkfront's max_queues, which is 4 in Linux; at most ``vcpus`` and 16."""
    closing: str = "dead"
    """What a backend's Closing finds: ``dead`` gives the disk up at once, as current kernels do; ``busy`` refuses while
    there is load, with "Device in use; refusing to close", as older ones; ``unmounted`` ends the load first."""
    frontend: str = "linux"
    """The driver, one of ``settings.FRONTENDS``.  Of the options above all others take ``memory_mib`` and ``vcpus``."""
    autostart: bool = True
    """Make load as soon as a disk is connected."""


@dataclass(frozen=True, slots=True)
class DiskReport:
    """Counters of one disk since the guest was added; they go on over reconnects and reboots."""

    vdev: str
    queues: int = 0
    """Queues of the last connection."""
    reads: int = 0
    writes: int = 0
    flushes: int = 0
    discards: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    errors: int = 0
    mismatches: int = 0
    """Granules (4 KiB, or less for smaller blocks) that did not hold what was written."""
    verified: int = 0
    """Granules compared and right."""
    unsupported: int = 0
    notifies: int = 0
    wakes: int = 0
    in_flight: int = 0
    persistent: int = 0
    """Grants the backend keeps mapped."""
    fault: str = ""
    """How the backend broke the protocol; empty while it has not."""
    bad_sector: int = 0
    """Where the last mismatch was."""
    p50_us: float = 0.0
    p99_us: float = 0.0
    by_queue: tuple[int, ...] = ()
    """Requests that each queue saw answered well."""


@dataclass(frozen=True, slots=True)
class Report:
    """All disks of a guest."""

    disks: tuple[DiskReport, ...] = ()
    read_back: int = 0
    """Granules compared by the ``verify`` that made this report."""

    def total(self, counter: str) -> int:
        """The sum of one of DiskReport's counters."""
        return sum(int(getattr(disk, counter)) for disk in self.disks)

    @property
    def reads(self) -> int:
        return self.total("reads")

    @property
    def writes(self) -> int:
        return self.total("writes")

    @property
    def flushes(self) -> int:
        return self.total("flushes")

    @property
    def discards(self) -> int:
        return self.total("discards")

    @property
    def bytes_read(self) -> int:
        return self.total("bytes_read")

    @property
    def bytes_written(self) -> int:
        return self.total("bytes_written")

    @property
    def errors(self) -> int:
        return self.total("errors")

    @property
    def mismatches(self) -> int:
        return self.total("mismatches")

    @property
    def verified(self) -> int:
        return self.total("verified")

    @property
    def ok(self) -> bool:
        """No error, no wrong byte, no broken ring."""
        return not (self.errors or self.mismatches or any(disk.fault for disk in self.disks))
