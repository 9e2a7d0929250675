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

from usblkback_tui.engine.host.seam import PAGE_SIZE, Channel, Expect, Grants, HostError, Put, Remove
from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.protocol.vdev import parse_vdev

READ, WRITE, BARRIER, FLUSH, DISCARD, INDIRECT = 0, 1, 2, 3, 5, 6
OKAY, ERROR, EOPNOTSUPP = 0, -1, -2
RING_HEADER = 64


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
    ring_order: int = 0
    sectors: int | None = None
    omit: tuple[str, ...] = ()
    """Keys not to write."""


@dataclass(slots=True)
class Counts:
    requests: int = 0
    indirect: int = 0
    flushes: int = 0
    discards: int = 0
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
        self.counts = Counts()
        self.tamper: Callable[[bytes, int], bytes] | None = None
        """(response, its number) -> what is put on the ring instead."""
        self.hold = threading.Event()
        """While set, requests are taken but not answered."""
        self._fd = os.open(image, os.O_RDWR)
        self._grants: Grants | None = None
        self._channel: Channel | None = None
        self._kept: dict[int, int] = {}
        self._stop = os.eventfd(0, os.EFD_NONBLOCK)
        self._thread: threading.Thread | None = None
        self._ring = 0
        self._ring_pages = 0
        self.slots = 0
        self.x86_32 = False
        self._cons = 0
        self._keeps = False
        self._answered = 0

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
            "max-ring-page-order": features.ring_order,
            "sectors": sectors,
            "sector-size": 512,
            "info": 0 if mode == "w" else 4,
        }
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

    def connect(self, timeout: float = 10.0) -> None:
        """Wait for the frontend's ring, map it, go to Connected."""
        self.wait_front("3", "4", timeout=timeout)
        self._bind()
        self.set_state(4)

    def serve(self, timeout: float = 10.0) -> Oracle:
        """attach and connect."""
        self.attach()
        self.connect(timeout)
        return self

    def wait_front(self, *states: str, timeout: float = 10.0) -> None:
        deadline = time.monotonic() + timeout
        while self.host.read(f"{self.front}/state") not in states:
            assert time.monotonic() < deadline, f"frontend is {self.host.read(f'{self.front}/state')}, not {states}"
            time.sleep(0.002)

    def set_state(self, state: int) -> None:
        self.host.commit([Put(f"{self.back}/state", str(state))])

    def _bind(self) -> None:
        read = self.host.read
        self._keeps = self.features.persistent and read(f"{self.front}/feature-persistent") == "1"
        self.x86_32 = read(f"{self.front}/protocol") == "x86_32-abi"
        self._grants = self.host.grants(self.domid)
        order = int(read(f"{self.front}/ring-page-order") or 0)
        names = [f"ring-ref{i}" for i in range(1 << order)] if order else ["ring-ref"]
        refs = [int(read(f"{self.front}/{name}") or "") for name in names]
        self._ring_pages = len(refs)
        self.slots = 1 << ((len(refs) * PAGE_SIZE - RING_HEADER) // 112).bit_length() - 1
        self._ring = self._grants.map(refs, writable=True)
        self._channel = self.host.bind(self.domid, int(read(f"{self.front}/event-channel") or ""))
        # BACK_RING_ATTACH: responses are published in order, so what is not answered is what was not done.
        self._cons = self._index(8)
        self._thread = threading.Thread(target=self._serve, name="oracle", daemon=True)
        self._thread.start()

    def disconnect(self) -> None:
        """Stop serving and let go of everything, telling nobody: also what a dying backend does."""
        os.eventfd_write(self._stop, 1)
        self.hold.clear()
        if self._thread:
            self._thread.join(5)
            assert not self._thread.is_alive()
            self._thread = None
        os.eventfd_read(self._stop)
        if self._channel:
            self._channel.close()
            self._channel = None
        if self._grants:
            for address in self._kept.values():
                self._grants.unmap(address, 1)
            self._kept.clear()
            self._grants.unmap(self._ring, self._ring_pages)
            self._grants.close()
            self._grants = None

    def reconnect(self) -> None:
        """A new backend finds the ring of the old one."""
        self._bind()

    def detach(self, timeout: float = 10.0) -> None:
        """Closing, the frontend's 6, Closed, directories away."""
        self.set_state(5)
        self.wait_front("6", timeout=timeout)
        self.close()

    def close(self) -> None:
        """Take the disk away without asking; idempotent."""
        self.disconnect_if_bound()
        self.host.commit([Remove(self.front), Remove(self.back)])
        if self._fd >= 0:
            os.close(self._fd)
            os.close(self._stop)
            self._fd = -1

    def disconnect_if_bound(self) -> None:
        if self._thread:
            self.disconnect()

    # The ring --------------------------------------------------------------------------------------------------------

    def _index(self, offset: int) -> int:
        return ctypes.c_uint32.from_address(self._ring + offset).value

    def _set_index(self, offset: int, value: int) -> None:
        ctypes.c_uint32.from_address(self._ring + offset).value = value & 0xFFFFFFFF

    def _serve(self) -> None:
        assert self._channel
        ops = self._channel.ops
        handle = ffi.cast("void *", ops.handle)
        while True:
            while self._cons != self._index(0):
                self._one(ops.port, handle)
            self._set_index(4, self._cons + 1)
            if self._cons != self._index(0):
                continue
            ready, _, _ = select.select([ops.fd, self._stop], [], [])
            if self._stop in ready:
                return
            if lib.sim_channel_pending(handle) == ops.port:
                lib.sim_channel_unmask(handle, ops.port)

    def _one(self, port: int, handle: object) -> None:
        while self.hold.is_set():
            time.sleep(0.001)
        size = 108 if self.x86_32 else 112
        slot = self._ring + RING_HEADER + (self._cons % self.slots) * size
        raw = ctypes.string_at(slot, size)
        self._cons = (self._cons + 1) & 0xFFFFFFFF
        ident, operation, status = self._execute(raw)
        response = struct.pack("<QBxh", ident, operation, status) + (b"" if self.x86_32 else bytes(4))
        if self.tamper:
            response = self.tamper(response, self._answered)
        self._answered += 1
        produced = self._index(8)
        slot = self._ring + RING_HEADER + (produced % self.slots) * size
        ctypes.memmove(slot, response, len(response))
        self._set_index(8, produced + 1)
        if (produced + 1 - self._index(12)) & 0xFFFFFFFF < 1:
            lib.sim_channel_notify(handle, port)

    def _execute(self, raw: bytes) -> tuple[int, int, int]:
        head = "<BBHQQ" if self.x86_32 else "<BBH4xQQ"
        operation, second, _, ident, sector = struct.unpack_from(head, raw)
        end = struct.calcsize(head)
        self.counts.requests += 1
        try:
            if operation == DISCARD:
                (count,) = struct.unpack_from("<Q", raw, end)
                self.counts.discards += 1
                return ident, operation, self._discard(sector, count)
            if operation in (FLUSH, BARRIER) and second == 0:
                self.counts.flushes += 1
                os.fsync(self._fd)
                return ident, operation, OKAY
            if operation == INDIRECT:
                self.counts.indirect += 1
                (nr_segments,) = struct.unpack_from("<H", raw, 2)
                return ident, second, self._rw(second, sector, self._indirect(raw, end, nr_segments))
            if operation in (READ, WRITE):
                return ident, operation, self._rw(operation, sector, _segments(raw[end:], second))
        except (HostError, AssertionError, OSError) as error:
            self.counts.bad.append(f"{operation}: {error!r}")
            return ident, operation, ERROR
        return ident, operation, EOPNOTSUPP

    def _indirect(self, raw: bytes, end: int, nr_segments: int) -> list[Segment]:
        refs = struct.unpack_from("<8I", raw, end + 4)
        assert 0 < nr_segments <= self.features.indirect, f"{nr_segments} segments"
        found: list[Segment] = []
        for ref in refs[: -(-nr_segments // 512)]:
            with _Mapped(self, ref, writable=False) as address:
                found += _segments(ctypes.string_at(address, PAGE_SIZE), min(512, nr_segments - len(found)))
        return found

    def _rw(self, operation: int, sector: int, segments: list[Segment]) -> int:
        total = sum(segment.bytes for segment in segments)
        assert sector * 512 + total <= os.fstat(self._fd).st_size, f"sector {sector} is beyond the end"
        where = sector * 512
        for segment in segments:
            assert segment.first <= segment.last < 8, f"{segment}"
            with _Mapped(self, segment.ref, writable=operation == READ) as address:
                at = address + segment.first * 512
                if operation == READ:
                    ctypes.memmove(at, os.pread(self._fd, segment.bytes, where), segment.bytes)
                else:
                    os.pwrite(self._fd, ctypes.string_at(at, segment.bytes), where)
            where += segment.bytes
        return OKAY

    def _discard(self, sector: int, count: int) -> int:
        if not self.features.discard:
            return EOPNOTSUPP
        os.pwrite(self._fd, bytes(count * 512), sector * 512)
        return OKAY

    # Pages -----------------------------------------------------------------------------------------------------------

    def map_page(self, ref: int, writable: bool) -> int:
        assert self._grants
        if not self._keeps:
            return self._grants.map([ref], writable=writable)
        if ref not in self._kept:
            self._kept[ref] = self._grants.map([ref], writable=True)
        return self._kept[ref]

    def unmap_page(self, address: int) -> None:
        assert self._grants
        if not self._keeps:
            self._grants.unmap(address, 1)


class _Mapped:
    def __init__(self, oracle: Oracle, ref: int, *, writable: bool) -> None:
        self._oracle, self._ref, self._writable = oracle, ref, writable

    def __enter__(self) -> int:
        self._address = self._oracle.map_page(self._ref, self._writable)
        return self._address

    def __exit__(self, *why: object) -> None:
        self._oracle.unmap_page(self._address)


def _segments(raw: bytes, count: int) -> list[Segment]:
    return [Segment(*struct.unpack_from("<IBB", raw, 8 * i)) for i in range(count)]
