# SPDX-License-Identifier: MIT
"""A frontend made by hand, key by key and byte by byte, for what no driver would do."""

from __future__ import annotations

import os
import struct

from usblkback_tui.engine.host.seam import PAGE_SIZE, Put
from usblkback_tui.engine.host.sim.domains import Port, SimDomain
from usblkback_tui.engine.host.sim.hypervisor import Hypervisor
from usblkback_tui.protocol.blkif import PROTOCOLS, RING_HEADER, Op
from usblkback_tui.protocol.keys import frontend_path

RING_REF, RING_FRAME = 8, 100
"""The reference that grants the ring's page, and where that page lies: behind the grant table."""
DATA_REF, DATA_FRAME = 9, 101
NOBODYS_REF = 4000
"""A reference that grants nothing."""

_GRANT = struct.Struct("<HHI")
_PERMIT = 1
_HEADER = struct.Struct("<IIII")
"""req_prod, req_event, rsp_prod, rsp_event."""
_REQUEST = struct.Struct("<BBHIQQIBBH")
"""Operation, segments, handle, padding, id, sector; then the first segment: reference, first and last sector."""


class HandmadeFrontend:
    """One disk of a domain that has no driver.  ``domain`` is whose, ``devid`` which."""

    def __init__(self, hypervisor: Hypervisor, domain: SimDomain, devid: int) -> None:
        self.domain = domain
        self.path = frontend_path(domain.domid, devid)
        self._hypervisor = hypervisor
        self._port: Port | None = None

    def write(self, keys: dict[str, str], state: int | None = None) -> None:
        """Write keys of its directory as its own domain, the state last."""
        store = self._hypervisor.store.connect(self.domain.domid, lambda path, token: None)
        try:
            changes = [Put(f"{self.path}/{key}", value) for key, value in keys.items()]
            store.commit(changes + ([] if state is None else [Put(f"{self.path}/state", str(state))]))
        finally:
            store.close()

    def say(self, error: str) -> None:
        """Leave a sentence in its error node."""
        store = self._hypervisor.store.connect(self.domain.domid, lambda path, token: None)
        try:
            home = f"/local/domain/{self.domain.domid}"
            store.commit([Put(f"{home}/error/{self.path.removeprefix(home + '/')}/error", error)])
        finally:
            store.close()

    def grant_ring(self) -> dict[str, str]:
        """Grant an empty ring of one page, and open a port; the keys that offer them."""
        self._grant(RING_REF, RING_FRAME)
        self._grant(DATA_REF, DATA_FRAME)
        os.pwrite(self.domain.memory, _HEADER.pack(0, 1, 0, 1), RING_FRAME * PAGE_SIZE)
        number, self._port = self._hypervisor.call(lambda: self.domain.alloc_unbound(0))
        return {"ring-ref": str(RING_REF), "event-channel": str(number), "protocol": "x86_64-abi"}

    def request(self, *, sector: int = 0, ref: int = DATA_REF, op: int = Op.READ) -> None:
        """Put one request of a page on the ring and announce it."""
        slot = RING_FRAME * PAGE_SIZE + RING_HEADER
        data = _REQUEST.pack(op, 1, 0, 0, 1, sector, ref, 0, 7, 0)
        os.pwrite(self.domain.memory, data.ljust(PROTOCOLS["x86_64-abi"], b"\0"), slot)
        self.produce(1)
        self.kick()

    def produce(self, count: int) -> None:
        """Say that so many requests were ever made, without an event."""
        os.pwrite(self.domain.memory, struct.pack("<I", count), RING_FRAME * PAGE_SIZE)

    def take(self, count: int) -> None:
        """So many responses were ever taken: be told of the next."""
        os.pwrite(self.domain.memory, struct.pack("<I", count + 1), RING_FRAME * PAGE_SIZE + 12)

    def kick(self) -> None:
        """Send the event."""
        assert self._port is not None
        os.eventfd_write(self._port.to_backend, 1)

    def _grant(self, ref: int, frame: int) -> None:
        os.pwrite(self.domain.memory, _GRANT.pack(_PERMIT, 0, frame), ref * _GRANT.size)
