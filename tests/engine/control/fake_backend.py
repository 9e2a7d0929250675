# SPDX-License-Identifier: MIT
"""A Backend with everything in it, for what stands above one; it records the verbs it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from usblkback_tui.engine.api import AttachPlan, AttachRequest
from usblkback_tui.engine.inspection import Permission, RequestView, RingSlots, SlotView, StoreNode
from usblkback_tui.engine.latency import BUCKETS
from usblkback_tui.engine.snapshot import (
    Counters,
    DiskView,
    DomainView,
    EngineFacts,
    Event,
    ForeignDisk,
    Health,
    Histogram,
    KernelCounters,
    Latency,
    PendingAttach,
    RingView,
    Severity,
    Snapshot,
    StateChange,
    StoreWrite,
    ThreadFacts,
)
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.expected import Expected
from usblkback_tui.protocol.slots import SlotRequest, SlotResponse, SlotState
from usblkback_tui.protocol.states import XenbusState


def a_disk(domid: int = 3, vdev: str = "xvdb", devid: int = 51728, **changes: object) -> DiskView:
    """A connected disk with numbers everywhere."""
    values: dict[str, object] = {
        "domid": domid,
        "domain": f"g{domid}",
        "devid": devid,
        "vdev": vdev,
        "image": "/img/größe 1.img",
        "mode": "w",
        "kind": "usblkback",
        "sectors": 131072,
        "frontend_state": XenbusState.CONNECTED,
        "backend_state": XenbusState.CONNECTED,
        "frontend_since": 1000.25,
        "backend_since": 1000.5,
        "online": True,
        "owned": True,
        "health": Health(Severity.WARNING, "slow"),
        "counters": Counters(reads=70, writes=30, bytes_read=286720, bytes_written=122880, errors=1, in_flight=2),
        "latency": Latency(read=Histogram(tuple(range(BUCKETS)))),
        "rings": (RingView(0, 32, 1, "x86_64-abi", "persistent", "pread", 17, req_prod=2**32 - 1),),
        "transitions": (StateChange(999.0, "frontend", XenbusState.INIT_WAIT, XenbusState.CONNECTED),),
        "writes": (StoreWrite(998.5, "frontend", "queue-1/ring-ref", "8\\n", "frontend"),),
        "expected": Expected("frontend", "go to Closed", "both ends close", 10.0),
    }
    return DiskView(**{**values, **changes})  # type: ignore[arg-type]


def a_foreign_disk() -> ForeignDisk:
    """One that the kernel serves."""
    return ForeignDisk(
        backend=0,
        kind="vbd",
        server="xen-blkback",
        domid=3,
        domain="g3",
        devid=51744,
        vdev="xvdc",
        image="/dev/vg/c",
        mode="r",
        device_type="disk",
        sectors=8,
        sector_size=512,
        frontend_state=XenbusState.CONNECTED,
        backend_state=XenbusState.CONNECTED,
        since=1000.0,
        online=True,
        health=Health(),
        counters=KernelCounters(12.0, reads=3, bytes_read=4096),
    )


class FakeBackend:
    """Answers at once, unless ``hold`` is cleared: then attach and detach wait for it."""

    def __init__(self) -> None:
        self.disks: tuple[DiskView, ...] = (a_disk(),)
        self.pending: tuple[PendingAttach, ...] = ()
        self.log: list[Event] = []
        self.calls: list[tuple[object, ...]] = []
        self.on_pending: Callable[[], None] | None = None
        """What happens after a look at what waits, which no longer does then."""
        self.error: Exception | None = None
        self.hold = threading.Event()
        self.hold.set()

    def say(self, text: str, **values: object) -> Event:
        event = Event(len(self.log) + 1, time.time(), Severity.GOOD, text, **values)  # type: ignore[arg-type]
        self.log.append(event)
        return event

    def snapshot(self) -> Snapshot:
        if self.error:
            raise self.error
        domains = (DomainView(0, "Domain-0"), DomainView(3, "g3"), DomainView(4, "g1"), DomainView(5, "slow"))
        engine = EngineFacts(12.0, 812, 60.0, (ThreadFacts(813, "control", 0.25, 17),), 1.5, 17, 1 << 20, 9, 5, 100)
        foreign = (a_foreign_disk(),)
        pending, self.pending = self.pending, ()
        if self.on_pending is not None and pending:
            self.on_pending()
        return Snapshot(1234.5, 12.5, "sim", 0, domains, self.disks, 64, 1000.0, foreign, engine, True, pending)

    def events(self, after: int) -> tuple[Event, ...]:
        return tuple(event for event in self.log if event.seq > after)

    def plan(self, request: AttachRequest, *, later: bool = False) -> AttachPlan:
        self.calls.append(("plan", request))
        if request.image == "/missing":
            raise UserError("image '/missing' is not there", fix="create it", key="image", value="/missing")
        return AttachPlan(
            3,
            "g3",
            request.vdev,
            51728,
            request.image,
            request.mode,
            8,
            (("/local/a", "1"), ("/local/b", "")),
            offers=(("multi-queue-max-queues", "4"),),
        )

    def attach_later(self, request: AttachRequest, seconds: float = 0.0) -> PendingAttach:
        self.calls.append(("attach_later", request, seconds))
        self.plan(request, later=True)
        until = 1234.5 + seconds if seconds else None
        one = PendingAttach(1, request.domain, request.vdev, 51728, request.image, request.mode, 1234.5, until)
        self.pending = (one,)
        return one

    def attach(self, request: AttachRequest, wait: float = 0.0) -> DiskView:
        self.calls.append(("attach", request, wait))
        self.hold.wait(30)
        self.plan(request)
        disk = a_disk(vdev=request.vdev, mode=request.mode, image=request.image, domain=request.domain)
        if request.domain == "slow":
            disk = a_disk(vdev=request.vdev, domain="slow", frontend_state=XenbusState.INITIALISING)
        self.disks = (*self.disks, disk)
        return disk

    def resize(self, domain: str, vdev: str, sectors: int | None = None) -> DiskView:
        self.calls.append(("resize", domain, vdev, sectors))
        if vdev == "xvdz":
            raise UserError(f"{vdev} of {domain} is not attached", fix="see usblkback-tui status", key="vdev")
        return a_disk(vdev=vdev, sectors=sectors or 262144)

    def detach(self, domain: str, vdev: str, *, force: bool = False, wait: float = 10.0) -> None:
        self.calls.append(("detach", domain, vdev, force, wait))
        self.hold.wait(30)
        if vdev == "xvdz":
            raise UserError(f"{vdev} of {domain} is not attached", fix="see usblkback-tui status", key="vdev")

    def next_vdev(self, domain: str) -> str:
        return "xvdc" if domain == "g3" else "xvda"

    def requests(self, domid: int, devid: int, after: Sequence[int] = (), limit: int = 256) -> tuple[RequestView, ...]:
        self.calls.append(("requests", domid, devid, tuple(after), limit))
        return (RequestView(1, 2**40, 1234.25, "write", True, 2**63, 8, 1, 70_000, "error"),)

    def ring_slots(self, domid: int, devid: int, ring: int) -> RingSlots:
        self.calls.append(("ring_slots", domid, devid, ring))
        request = SlotRequest("read", 2**64 - 1, 8, 16, 2, ((9, 0, 7), (10, 0, 7)))
        slots = (
            SlotView(0, SlotState.SERVICE, request=request),
            SlotView(1, SlotState.RESPONDED, response=SlotResponse(7, "write", "ok")),
        )
        return RingSlots(ring, 1234.5, "x86_64-abi", 2**32 - 1, 5, 4, 3, 2, slots)

    def store(self, path: str) -> StoreNode:
        self.calls.append(("store", path))
        return StoreNode(path, "a\\xff", ("0", "3"), 0, "n", (Permission(3, "r"),), is_text=False)

    def store_write(self, path: str, value: str) -> None:
        self.calls.append(("store_write", path, value))

    def store_remove(self, path: str) -> None:
        self.calls.append(("store_remove", path))
