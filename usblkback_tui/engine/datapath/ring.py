# SPDX-License-Identifier: MIT
"""The Python face of the C data path: a :class:`Vbd` is a disk, and a :class:`RingServer` serves one of its rings.

``RingServer.run`` is the whole life of a ring in one call that does not hold the GIL; everything else may be called
from other threads meanwhile, except ``close``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

from usblkback_tui.engine.datapath._core import ffi, lib
from usblkback_tui.engine.host.seam import ChannelOps, GrantOps
from usblkback_tui.engine.snapshot import Counters, Histogram, Latency
from usblkback_tui.protocol.blkif import PAGE, PROTOCOLS
from usblkback_tui.protocol.ring import outstanding


class GrantMode(Enum):
    """How a guest's pages are reached; ``grants.c`` explains."""

    PERSISTENT = "persistent"
    COPY = "copy"
    MAP = "map"


class IoEngine(Enum):
    """What moves bytes between guest pages and the image; ``usblk.h`` has what an engine promises."""

    AUTO = "auto"
    """Chosen by the image and by what is measured while it is served."""
    SYNC = "sync"
    """preadv and pwritev in the ring's own thread."""
    IO_URING = "io_uring"
    MMAP = "mmap"
    """Cached reads and writes through a guarded mapping, everything else as ``SYNC``."""
    NULL = "null"
    """Moves nothing: for measuring the rest."""


class End(IntEnum):
    """Why a ring is no longer served."""

    STOPPED = 0
    OVERFLOW = 1
    """The guest's indices are impossible."""
    WAIT = 2
    """The event channel cannot be waited for."""
    NOTIFY = 3
    """The event channel cannot be notified."""

    @property
    def sentence(self) -> str:
        """What to tell people."""
        return _SENTENCES[self]


_SENTENCES = {
    End.STOPPED: "stopped",
    End.OVERFLOW: "the guest claims more requests than its ring has slots, so its ring is no longer served",
    End.WAIT: "the event channel failed while waiting for requests",
    End.NOTIFY: "the event channel refused a notification",
}

_GRANT_MODES = {
    GrantMode.PERSISTENT: lib.USBLK_GRANT_PERSISTENT,
    GrantMode.COPY: lib.USBLK_GRANT_COPY,
    GrantMode.MAP: lib.USBLK_GRANT_MAP,
}


_IO_ENGINES = {
    IoEngine.AUTO: lib.USBLK_IO_AUTO,
    IoEngine.SYNC: lib.USBLK_IO_SYNC,
    IoEngine.IO_URING: lib.USBLK_IO_URING,
    IoEngine.MMAP: lib.USBLK_IO_MMAP,
    IoEngine.NULL: lib.USBLK_IO_NULL,
}
_IO_NAMES = {number: engine for engine, number in _IO_ENGINES.items()}


@dataclass(frozen=True, slots=True)
class VbdConfig:
    """What all rings of a disk share."""

    image_fd: int
    sectors: int
    """512-byte sectors."""
    readonly: bool = False
    direct: bool = False
    """``image_fd`` was opened with O_DIRECT."""
    discard: bool = False
    secure_discard: bool = False
    discard_granularity: int = 512
    """Bytes."""
    discard_alignment: int = 0
    """Bytes from the image's start to the first whole piece."""


@dataclass(frozen=True, slots=True)
class RingConfig:
    """One ring."""

    grants: GrantOps
    channel: ChannelOps
    domid: int
    ring_address: int
    ring_pages: int
    """A power of two, at most 16."""
    protocol: str = "x86_64-abi"
    grant_mode: GrantMode = GrantMode.PERSISTENT
    persistent_pages: int = 1056
    """Kept mapped by this ring, at most."""
    max_map_pages: int = 1024
    """In one map call."""
    single_map: bool = False
    """The host refuses to map a page twice at a time."""
    idle_trims: int = 12
    """A page that no request used for so many calls of :meth:`RingServer.trim` is unmapped."""
    max_segments: int = 256
    response_batch: int = 16
    """Responses published at once, at most."""
    response_wait_us: int = 30
    """And none of them waits longer for the others, in microseconds."""
    poll_us: int = 20
    io: IoEngine = IoEngine.AUTO


@dataclass(frozen=True, slots=True)
class Indices:
    """The shared indices of a moment; the guest writes some of them, so they promise nothing."""

    req_prod: int
    req_cons: int
    rsp_prod: int
    req_event: int
    rsp_event: int
    slots: int


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One finished request."""

    seq: int
    time_ns: int
    """CLOCK_MONOTONIC when it was answered."""
    latency_ns: int
    id: int
    sector: int
    sectors: int
    segments: int
    status: int
    op: int
    indirect: bool


class GrantBudget:
    """How many pages all rings that are given it may keep mapped; it must outlive them."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self._budget: Any = ffi.gc(_made(lib.usblk_budget_create(pages)), lib.usblk_budget_destroy)

    @property
    def used(self) -> int:
        """Pages kept now."""
        return int(lib.usblk_budget_used(self._budget))


class Vbd:
    """A disk in the C data path.  Raises MemoryError.  ``close`` after all its rings are closed."""

    def __init__(self, config: VbdConfig) -> None:
        self.config = config
        c = ffi.new("struct usblk_vbd_config *")
        c.image_fd = config.image_fd
        c.sectors = config.sectors
        c.readonly = config.readonly
        c.direct = config.direct
        c.discard = config.discard
        c.secure_discard = config.secure_discard
        c.discard_granularity = config.discard_granularity
        c.discard_alignment = config.discard_alignment
        self._vbd: Any = ffi.gc(_made(lib.usblk_vbd_create(c)), lib.usblk_vbd_destroy)

    def set_sectors(self, sectors: int) -> None:
        """Change the size that requests are checked against, from the next one on."""
        lib.usblk_vbd_set_sectors(self._vbd, sectors)

    @property
    def poisoned(self) -> int:
        """The errno of a flush that failed; 0 while all is well.  Writes are refused from then on, on every ring."""
        return int(lib.usblk_vbd_poisoned(self._vbd))

    @property
    def last_io_errno(self) -> int:
        """The errno of the last image error; 0 without one."""
        return int(lib.usblk_vbd_last_errno(self._vbd))


def _made(made: Any) -> Any:
    if made == ffi.NULL:
        raise MemoryError("the data path is out of memory")
    return made


class RingServer:
    """One ring of ``vbd``.  Raises MemoryError when it cannot be made, ValueError for an unknown protocol."""

    def __init__(self, vbd: Vbd, config: RingConfig, budget: GrantBudget | None = None) -> None:
        if config.protocol not in PROTOCOLS:
            raise ValueError(f"unknown protocol {config.protocol!r}")
        self.config = config
        self._shared = (vbd, budget)  # they must outlive the ring
        c = ffi.new("struct usblk_config *")
        c.vbd = vbd._vbd
        c.budget = budget._budget if budget else ffi.NULL
        c.grant_handle = config.grants.handle
        c.grant_map = config.grants.map
        c.grant_unmap = config.grants.unmap
        c.grant_copy = config.grants.copy
        c.channel_handle = config.channel.handle
        c.channel_pending = config.channel.pending
        c.channel_unmask = config.channel.unmask
        c.channel_notify = config.channel.notify
        c.channel_fd = config.channel.fd
        c.channel_port = config.channel.port
        c.channel_wait = config.channel.wait
        c.channel_poke = config.channel.poke_port
        c.domid = config.domid
        c.ring = config.ring_address
        c.ring_pages = config.ring_pages
        c.abi = lib.USBLK_ABI_32 if config.protocol == "x86_32-abi" else lib.USBLK_ABI_64
        c.grant_mode = _GRANT_MODES[config.grant_mode]
        c.persistent_pages = config.persistent_pages
        c.max_map_pages = config.max_map_pages
        c.single_map = config.single_map
        c.idle_trims = config.idle_trims
        c.max_segments = config.max_segments
        c.response_batch = config.response_batch
        c.response_wait_us = config.response_wait_us
        c.poll_us = config.poll_us
        c.io = _IO_ENGINES[config.io]
        self._ring: Any = lib.usblk_ring_create(c)
        if self._ring == ffi.NULL:
            raise MemoryError("the data path cannot make a ring of this shape")
        self._stats: Any = lib.usblk_ring_stats(self._ring)
        self._latency, self._latency_of = Latency(), 0

    def run(self) -> End:
        """Serve until :meth:`stop` or a reason to give up."""
        return End(lib.usblk_ring_run(self._ring))

    def stop(self) -> None:
        """Ask :meth:`run` to answer what it has begun and come back."""
        if self._ring != ffi.NULL:
            lib.usblk_ring_stop(self._ring)

    def trim(self) -> None:
        """Have the pages unmapped that were not used for a while; to be called every few seconds."""
        if self._ring != ffi.NULL:
            lib.usblk_ring_trim(self._ring)

    def close(self) -> Counters:
        """Unmap every page of the guest and free the ring; the last counters.  The ring page stays the caller's.

        Idempotent; counters and histograms keep their last values, the trace is gone.
        """
        if self._ring != ffi.NULL:
            lib.usblk_ring_release(self._ring)
            self._stats = ffi.new("struct usblk_stats *", self._stats[0])
            ring, self._ring = self._ring, ffi.NULL
            lib.usblk_ring_destroy(ring)
        return self.counters()

    def indices(self) -> Indices:
        """Read the shared indices; only while the ring page is mapped."""
        ret = ffi.new("struct usblk_indices *")
        lib.usblk_ring_indices(self._ring, ret)
        return Indices(ret.req_prod, ret.req_cons, ret.rsp_prod, ret.req_event, ret.rsp_event, ret.size)

    def memory(self) -> bytes:
        """One copy of the shared pages, guest-written as they are; only while they are mapped."""
        address = ffi.cast("const char *", self.config.ring_address)
        return bytes(ffi.buffer(address, self.config.ring_pages * PAGE))

    @property
    def io_engine(self) -> IoEngine:
        """What serves the ring now; ``SYNC`` where the wanted one cannot be had."""
        return _IO_NAMES[lib.usblk_ring_io(self._ring)]

    @property
    def slots(self) -> int:
        """Requests the ring holds."""
        return self.indices().slots

    def counters(self, *, in_flight: int = 0) -> Counters:
        """The totals of now."""
        s = self._stats
        read, write = lib.USBLK_READ, lib.USBLK_WRITE
        flush, discard = lib.USBLK_FLUSH, lib.USBLK_DISCARD
        return Counters(
            reads=s.requests[read],
            writes=s.requests[write],
            flushes=s.requests[flush],
            discards=s.requests[discard],
            bytes_read=s.bytes[read],
            bytes_written=s.bytes[write],
            bytes_discarded=s.bytes[discard],
            errors=s.errors,
            bad_requests=s.bad_requests,
            io_errors=s.io_errors,
            map_errors=s.map_errors,
            refused=s.refused,
            in_flight=in_flight,
            indirect=s.indirect,
            responses=s.responses,
            notifies_sent=s.notifies_sent,
            notifies_suppressed=s.notifies_suppressed,
            wakeups=s.wakeups,
            grants_mapped=s.grants_mapped,
            maps=s.maps,
            unmaps=s.unmaps,
            copies=s.copies,
            evictions=s.evictions,
            idle_releases=s.idle_releases,
            polls=s.polls,
            poll_hits=s.poll_hits,
        )

    def counters_now(self) -> tuple[Counters, Indices]:
        """The totals with the requests outstanding on the ring; only while the ring page is mapped."""
        i = self.indices()
        return self.counters(in_flight=outstanding(i.req_prod, i.rsp_prod, i.slots)), i

    def latency(self) -> Latency:
        """The histograms since the ring began; read again only when a request has been answered since."""
        responses = self._stats.responses  # counted after its latency, so what is read below holds at least these
        if responses != self._latency_of:
            self._latency, self._latency_of = self._read_latency(), responses
        return self._latency

    def _read_latency(self) -> Latency:
        def histogram(op: int) -> Histogram:
            return Histogram(tuple(ffi.unpack(self._stats.latency[op], lib.USBLK_HIST_BUCKETS)))

        return Latency(
            read=histogram(lib.USBLK_READ),
            write=histogram(lib.USBLK_WRITE),
            flush=histogram(lib.USBLK_FLUSH),
            discard=histogram(lib.USBLK_DISCARD),
        )

    def trace(self, after: int = 0, limit: int = 1024) -> tuple[TraceEntry, ...]:
        """The last finished requests with ``seq > after``, oldest first."""
        if self._ring == ffi.NULL:
            return ()
        ret = ffi.new("struct usblk_trace[]", limit)
        count = lib.usblk_ring_trace(self._ring, after, ret, limit)
        return tuple(
            TraceEntry(
                seq=t.seq,
                time_ns=t.time_ns,
                latency_ns=t.latency_ns,
                id=t.id,
                sector=t.sector,
                sectors=t.nr_sectors,
                segments=t.segments,
                status=t.status,
                op=t.op,
                indirect=bool(t.indirect),
            )
            for t in ret[0:count]
        )
