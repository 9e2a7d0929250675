# SPDX-License-Identifier: MIT
"""A reference backend in plain Python: the protocol as blkif.h says it, nothing clever.

It is the third implementation beside the data path and the guest's blkfront, and what they are held against.  It maps
what a request names, does it, unmaps, responds; with ``persistent`` it keeps what it mapped.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from usblkback_tui.engine.host.seam import PAGE_SIZE, Expect, HostError, Put, Remove
from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.protocol.vdev import parse_vdev

READ, WRITE, BARRIER, FLUSH, DISCARD, INDIRECT = 0, 1, 2, 3, 5, 6
OKAY, ERROR, EOPNOTSUPP = 0, -1, -2
RING_HEADER = 64
SEGMENTS_PER_PAGE = 512


@dataclass(frozen=True, slots=True)
class Segment:
    ref: int
    first: int
    last: int

    @property
    def bytes(self) -> int:
        return (self.last - self.first + 1) * 512


@dataclass(slots=True)
class Features:
    """What the oracle offers."""

    persistent: bool = False
    indirect: int = 0
    flush: bool = True
    barrier: bool = False
    discard: bool = False
    secure: bool = False
    granularity: int = 0
    """Bytes; 0: the key is not written."""
    alignment: int = 0
    ring_order: int = 0
    ring_pages: int = 0
    """max-ring-pages, the other scheme; 0: the key is not written."""
    queues: int = 0
    """multi-queue-max-queues; 0: the key is not written."""
    info: int = 0
    """Beside what the mode says."""
    sectors: int | None = None
    omit: tuple[str, ...] = ()
    """Keys not to write."""


@dataclass(slots=True)
class Counts:
    requests: int = 0
    indirect: int = 0
    flushes: int = 0
    barriers: int = 0
    """Barriers with data."""
    discards: int = 0
    secure: int = 0
    most_segments: int = 0
    bad: list[str] = field(default_factory=list)


class Oracle:
    """One attached disk on a file."""

    def __init__(
        self, host: SimHost, domid: int, image: Path, vdev: str = "xvda", features: Features | None = None
    ) -> None:
        self.host = host
        self.domid = domid
        self.image = image
        self.features = features or Features()
        self.devid = parse_vdev(vdev).number
        self.front = f"/local/domain/{domid}/device/vbd/{self.devid}"
        self.back = f"/local/domain/0/backend/oracle/{domid}/{self.devid}"
        self.lock = threading.Lock()
        """Held over every request: one at a time, whatever the queues."""
        self.counts = Counts()
        self.tamper: Callable[[bytes, int], bytes] | None = None
        """(response, its number over all queues) -> what is put on the ring instead."""
        self.hold = threading.Event()
        """While set, requests are not taken."""
        self.answered = 0
        self.queues: list[Queue] = []
        self.x86_32 = False
        self.keeps = False
        self._fd = os.open(image, os.O_RDWR)

    # The handshake ---------------------------------------------------------------------------------------------------

    def attach(self, mode: str = "w", state: int = 2) -> None:
        """Write both directories, the backend with its features, in InitWait unless told otherwise."""
        features = self.features
        sectors = features.sectors or os.fstat(self._fd).st_size // 512
        offers = {
            "feature-persistent": int(features.persistent),
            "feature-max-indirect-segments": features.indirect,
            "feature-flush-cache": int(features.flush),
            "feature-barrier": int(features.barrier),
            "feature-discard": int(features.discard),
            "discard-secure": int(features.secure),
            "max-ring-page-order": features.ring_order,
            "sectors": sectors,
            "sector-size": 512,
            "info": features.info | (0 if mode == "w" else 4),
        }
        optional = {
            "discard-granularity": features.granularity,
            "discard-alignment": features.alignment,
            "max-ring-pages": features.ring_pages,
            "multi-queue-max-queues": features.queues,
        }
        offers |= {key: value for key, value in optional.items() if value}
        fe, be = self.domid, 0
        self.host.commit(
            [
                Expect(self.front, present=False),
                Put(self.back, "", owner=be, readers=(fe,)),
                Put(f"{self.back}/frontend", self.front),
                Put(f"{self.back}/frontend-id", str(fe)),
                Put(f"{self.back}/params", str(self.image)),
                Put(f"{self.back}/mode", mode),
                *(Put(f"{self.back}/{k}", str(v)) for k, v in offers.items() if k not in features.omit),
                Put(f"{self.back}/state", str(state)),
                Put(self.front, "", owner=fe, readers=(be,)),
                Put(f"{self.front}/backend", self.back),
                Put(f"{self.front}/backend-id", "0"),
                Put(f"{self.front}/virtual-device", str(self.devid)),
                Put(f"{self.front}/state", "1"),
            ]
        )

    def connect(self, timeout: float = 60.0) -> None:
        """Wait for the frontend's rings, map them, go to Connected."""
        self.wait_front("3", "4", timeout=timeout)
        self.bind()
        self.set_state(4)

    def serve(self, timeout: float = 60.0) -> Oracle:
        """attach and connect."""
        self.attach()
        self.connect(timeout)
        return self

    def wait_front(self, *states: str, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        while self.host.read(f"{self.front}/state") not in states:
            assert time.monotonic() < deadline, f"frontend is {self.host.read(f'{self.front}/state')}, not {states}"
            time.sleep(0.002)

    def set_state(self, state: int) -> None:
        self.host.commit([Put(f"{self.back}/state", str(state))])

    def bind(self) -> None:
        """Read the frontend's keys, map its rings and serve them; a ring that was served before goes on."""
        self.keeps = self.features.persistent and self.key("feature-persistent") == "1"
        self.x86_32 = self.key("protocol") == "x86_32-abi"
        pages = 1 << int(self.key("ring-page-order") or 0)
        if pages == 1:
            pages = int(self.key("num-ring-pages") or 1)
        assert pages in (1, 2, 4, 8, 16)
        assert pages <= max(1 << self.features.ring_order, self.features.ring_pages)
        number = self.key("multi-queue-num-queues")
        count = int(number or 1)
        assert 1 <= count <= max(self.features.queues, 1)
        homes = [f"queue-{i}/" for i in range(count)] if count > 1 else [""]
        names = [f"ring-ref{i}" for i in range(pages)] if pages > 1 else ["ring-ref"]
        for home in homes:
            refs = [int(self.key(home + name) or "") for name in names]
            self.queues.append(Queue(self, refs, int(self.key(f"{home}event-channel") or "")))
        for queue in self.queues:
            queue.start()

    def key(self, name: str) -> str | None:
        """What the frontend wrote."""
        return self.host.read(f"{self.front}/{name}")

    @property
    def slots(self) -> int:
        """Requests that each ring holds."""
        return self.queues[0].slots

    def disconnect(self) -> None:
        """Stop serving in the middle of anything and let go of all, telling nobody: as a backend that dies."""
        for queue in self.queues:
            queue.stop()
        self.hold.clear()
        for queue in self.queues:
            queue.close()
        self.queues = []

    def reconnect(self) -> None:
        """A new backend finds the rings of the old one."""
        self.bind()

    def detach(self, timeout: float = 60.0) -> None:
        """Closing, the frontend's 6, Closed, directories away."""
        self.set_state(5)
        self.wait_front("6", timeout=timeout)
        self.close()

    def close(self) -> None:
        """Take the disk away without asking; idempotent."""
        self.disconnect()
        self.host.commit([Remove(self.front), Remove(self.back)])
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # Requests --------------------------------------------------------------------------------------------------------

    def execute(self, queue: Queue, raw: bytes) -> tuple[int, int, int]:
        """Do one request; what its response says: id, operation, status."""
        head = "<BBHQQ" if self.x86_32 else "<BBH4xQQ"
        operation, second, _, ident, sector = struct.unpack_from(head, raw)
        end = struct.calcsize(head)
        self.counts.requests += 1
        try:
            if operation == DISCARD:
                (count,) = struct.unpack_from("<Q", raw, end)
                return ident, operation, self._discard(sector, count, second)
            if operation == FLUSH and second == 0 and self.features.flush:
                return ident, operation, self._flush()
            if operation == BARRIER and second == 0 and self.features.barrier:
                return ident, operation, self._flush()
            if operation == BARRIER and self.features.barrier:
                self.counts.barriers += 1
                os.fsync(self._fd)
                status = self._rw(queue, WRITE, sector, _segments(raw[end:], second))
                os.fsync(self._fd)
                return ident, operation, status
            if operation == INDIRECT:
                self.counts.indirect += 1
                (nr_segments,) = struct.unpack_from("<H", raw, 2)
                return ident, second, self._rw(queue, second, sector, self._indirect(queue, raw, end, nr_segments))
            if operation in (READ, WRITE):
                return ident, operation, self._rw(queue, operation, sector, _segments(raw[end:], second))
        except (HostError, AssertionError, OSError) as error:
            self.counts.bad.append(f"{operation}: {error!r}")
            return ident, operation, ERROR
        self.counts.bad.append(f"{operation} was not offered")
        return ident, operation, EOPNOTSUPP

    def _indirect(self, queue: Queue, raw: bytes, end: int, nr_segments: int) -> list[Segment]:
        refs = struct.unpack_from("<8I", raw, end + 4)
        assert 0 < nr_segments <= self.features.indirect, f"{nr_segments} segments"
        found: list[Segment] = []
        for ref in refs[: -(-nr_segments // SEGMENTS_PER_PAGE)]:
            with _Mapped(self, queue, ref, writable=False) as address:
                here = min(SEGMENTS_PER_PAGE, nr_segments - len(found))
                found += _segments(ctypes.string_at(address, PAGE_SIZE), here)
        return found

    def _rw(self, queue: Queue, operation: int, sector: int, segments: list[Segment]) -> int:
        assert operation in (READ, WRITE), f"operation {operation} in an indirect request"
        total = sum(segment.bytes for segment in segments)
        self.counts.most_segments = max(self.counts.most_segments, len(segments))
        assert sector * 512 + total <= os.fstat(self._fd).st_size, f"sector {sector} is beyond the end"
        if operation == WRITE:
            queue.wrote.add(sector)
        where = sector * 512
        for segment in segments:
            assert segment.first <= segment.last < 8, f"{segment}"
            with _Mapped(self, queue, segment.ref, writable=operation == READ) as address:
                at = address + segment.first * 512
                if operation == READ:
                    ctypes.memmove(at, os.pread(self._fd, segment.bytes, where), segment.bytes)
                else:
                    os.pwrite(self._fd, ctypes.string_at(at, segment.bytes), where)
            where += segment.bytes
        return OKAY

    def _flush(self) -> int:
        self.counts.flushes += 1
        os.fsync(self._fd)
        return OKAY

    def _discard(self, sector: int, count: int, flag: int) -> int:
        self.counts.discards += 1
        self.counts.secure += flag
        if not self.features.discard:
            return EOPNOTSUPP
        assert flag <= self.features.secure, "a secure discard was not offered"
        unit = max(self.features.granularity // 512, 1)
        assert count, "a discard of nothing"
        assert count % unit == 0, f"a discard of {count} sectors"
        assert (sector - self.features.alignment // 512) % unit == 0, f"a discard from sector {sector}"
        assert (sector + count) * 512 <= os.fstat(self._fd).st_size, f"sector {sector} is beyond the end"
        os.pwrite(self._fd, bytes(count * 512), sector * 512)
        return OKAY

    # Pages -----------------------------------------------------------------------------------------------------------

    def map_page(self, queue: Queue, ref: int, writable: bool) -> int:
        if not self.keeps:
            return queue.grants.map([ref], writable=writable)
        if ref not in queue.kept:
            queue.kept[ref] = queue.grants.map([ref], writable=True)
        return queue.kept[ref]

    def unmap_page(self, queue: Queue, address: int) -> None:
        if not self.keeps:
            queue.grants.unmap(address, 1)


class Queue:
    """One ring that is served, by a thread of its own."""

    def __init__(self, oracle: Oracle, refs: list[int], port: int) -> None:
        self.oracle = oracle
        self.slot_bytes = 108 if oracle.x86_32 else 112
        self.pages = len(refs)
        self.slots = 1 << ((self.pages * PAGE_SIZE - RING_HEADER) // self.slot_bytes).bit_length() - 1
        self.grants = oracle.host.grants(oracle.domid)
        self.ring = self.grants.map(refs, writable=True)
        self.channel = oracle.host.bind(oracle.domid, port)
        self.kept: dict[int, int] = {}
        self.wrote: set[int] = set()
        """First sectors of writes."""
        self.requests = 0
        # BACK_RING_ATTACH: responses are published in order, so what is not answered is what was not done.
        self._cons = self.index(8)
        self._stop = os.eventfd(0, os.EFD_NONBLOCK)
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="oracle", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        os.eventfd_write(self._stop, 1)

    def close(self) -> None:
        """After ``stop``."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        os.close(self._stop)
        self.channel.close()
        for address in self.kept.values():
            self.grants.unmap(address, 1)
        self.grants.unmap(self.ring, self.pages)
        self.grants.close()

    def index(self, offset: int) -> int:
        """0 req_prod, 4 req_event, 8 rsp_prod, 12 rsp_event."""
        return ctypes.c_uint32.from_address(self.ring + offset).value

    def set_index(self, offset: int, value: int) -> None:
        ctypes.c_uint32.from_address(self.ring + offset).value = value & 0xFFFFFFFF

    @property
    def waiting(self) -> int:
        """Requests on the ring that are not taken."""
        return (self.index(0) - self._cons) & 0xFFFFFFFF

    def _serve(self) -> None:
        ops = self.channel.ops
        handle = ffi.cast("void *", ops.handle)
        while not self._stopping:
            if self.oracle.hold.is_set():
                time.sleep(0.001)
                continue
            if self.waiting:
                with self.oracle.lock:
                    if not self.oracle.hold.is_set():
                        self._one(ops.port, handle)
                continue
            self.set_index(4, self._cons + 1)
            if self.waiting:
                continue
            select.select([ops.fd, self._stop], [], [])
            if lib.sim_channel_pending(handle) == ops.port:
                lib.sim_channel_unmask(handle, ops.port)

    def _slot(self, index: int) -> int:
        return self.ring + RING_HEADER + (index % self.slots) * self.slot_bytes

    def _one(self, port: int, handle: object) -> None:
        raw = ctypes.string_at(self._slot(self._cons), self.slot_bytes)
        self._cons = (self._cons + 1) & 0xFFFFFFFF
        self.requests += 1
        ident, operation, status = self.oracle.execute(self, raw)
        response = struct.pack("<QBxh", ident, operation, status) + (b"" if self.oracle.x86_32 else bytes(4))
        if self.oracle.tamper:
            response = self.oracle.tamper(response, self.oracle.answered)
        self.oracle.answered += 1
        produced = self.index(8)
        ctypes.memmove(self._slot(produced), response, len(response))
        self.set_index(8, produced + 1)
        if (produced + 1 - self.index(12)) & 0xFFFFFFFF < 1:
            lib.sim_channel_notify(handle, port)


class _Mapped:
    def __init__(self, oracle: Oracle, queue: Queue, ref: int, *, writable: bool) -> None:
        self._oracle, self._queue, self._ref, self._writable = oracle, queue, ref, writable

    def __enter__(self) -> int:
        self._address = self._oracle.map_page(self._queue, self._ref, self._writable)
        return self._address

    def __exit__(self, *why: object) -> None:
        self._oracle.unmap_page(self._queue, self._address)


def _segments(raw: bytes, count: int) -> list[Segment]:
    return [Segment(*struct.unpack_from("<IBB", raw, 8 * i)) for i in range(count)]
