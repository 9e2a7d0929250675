# SPDX-License-Identifier: MIT
"""A backend for UI tests: a scriptable engine whose clock only moves when told, and that records every verb."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace

from tests.ui.fake_looks import HANDSHAKE, START, STORE, decoded, facts, handshake_writes, node, request, served
from usblkback_tui.engine.api import AttachPlan, AttachRequest
from usblkback_tui.engine.inspection import RequestView, RingSlots, StoreNode
from usblkback_tui.engine.latency import BUCKETS, bucket_of
from usblkback_tui.engine.snapshot import (
    Counters,
    DiskView,
    DomainView,
    Event,
    ForeignDisk,
    Health,
    Histogram,
    Latency,
    PendingAttach,
    RingView,
    Severity,
    Snapshot,
    StateChange,
)
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.expected import expected_step
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.vdev import Vdev, parse_vdev


def transitions(when: float, steps: int = len(HANDSHAKE)) -> tuple[StateChange, ...]:
    """The first ``steps`` of a usual handshake that began at ``when``."""
    return tuple(StateChange(when + at, end, old, new) for at, end, old, new in HANDSHAKE[:steps])


def histogram(values: dict[int, int]) -> Histogram:
    """``{nanoseconds: how many}``."""
    counts = [0] * BUCKETS
    for value, count in values.items():
        counts[bucket_of(value)] += count
    return Histogram(tuple(counts))


def make_disk(
    domid: int,
    domain: str,
    vdev: str = "xvda",
    *,
    steps: int = len(HANDSHAKE),
    since: float = START - 60,
    image: str = "",
    mode: str = "w",
    rings: int = 1,
    sectors: int = 131_072,
    health: Health | None = None,
) -> DiskView:
    """A disk ``steps`` into its handshake, which began at ``since``."""
    changes = transitions(since, steps)
    front = [change for change in changes if change.end == "frontend"]
    back = [change for change in changes if change.end == "backend"]
    connected = steps == len(HANDSHAKE)
    front_state, back_state = front[-1].new if front else S.UNKNOWN, back[-1].new if back else S.UNKNOWN
    views = tuple(
        RingView(
            index=index,
            slots=32,
            pages=1,
            protocol="x86_64-abi",
            grant_mode="persistent",
            io_engine="pread/pwrite",
            event_channel=17 + index,
        )
        for index in range(rings if connected else 0)
    )
    return DiskView(
        domid=domid,
        domain=domain,
        devid=parse_vdev(vdev).number,
        vdev=vdev,
        image=image or f"/srv/images/{domain}-{vdev}.img",
        mode=mode,
        kind="usblkback",
        sectors=sectors,
        frontend_state=front_state,
        backend_state=back_state,
        frontend_since=front[-1].time if front else since,
        backend_since=back[-1].time if back else since,
        online=True,
        owned=True,
        health=health or Health(),
        counters=Counters(),
        latency=Latency(),
        rings=views,
        transitions=changes,
        writes=handshake_writes(since, steps),
        expected=expected_step(front_state, back_state),
    )


class FakeBackend:
    """Implements ``Backend``.

    ``fail`` maps a verb (``snapshot``, ``events``, ``plan``, ``attach``, ``detach``, ``next_vdev``) to what it raises;
    ``hold`` maps one to an Event it waits for first.
    """

    def __init__(self, *disks: DiskView, domains: tuple[DomainView, ...] | None = None) -> None:
        names = {disk.domid: disk.domain for disk in disks}
        self.domains = domains or (DomainView(0, "Domain-0"), *(DomainView(i, names[i]) for i in sorted(names)))
        self.disks: dict[tuple[int, int], DiskView] = {disk.key: disk for disk in disks}
        self.foreign: tuple[ForeignDisk, ...] = ()
        self.pending: tuple[PendingAttach, ...] = ()
        self.read_only = False
        self.store_values = dict(STORE)
        self.now = START
        self.started = START - 100
        self.log: list[Event] = []
        self.calls: list[tuple[object, ...]] = []
        self.fail: dict[str, Exception] = {}
        self.hold: dict[str, threading.Event] = {}
        self.steps = len(HANDSHAKE)
        """How far the handshake of a newly attached disk is at once."""
        self._lock = threading.Lock()
        for disk in disks:
            for change in disk.transitions:
                self.say("", domid=disk.domid, devid=disk.devid, vdev=disk.vdev, change=change, when=change.time)

    # -- the script ----------------------------------------------------------------------------------------------

    def say(
        self,
        text: str,
        severity: Severity = Severity.INFO,
        *,
        domid: int | None = None,
        devid: int | None = None,
        vdev: str = "",
        change: StateChange | None = None,
        when: float | None = None,
    ) -> None:
        """Add an event."""
        kind = "state" if change else "log"
        event = Event(len(self.log) + 1, when or self.now, severity, text, kind, domid, devid, vdev, change)
        self.log.append(event)

    def update(self, disk: DiskView) -> None:
        """Put a disk in, or in place of the one with its key."""
        with self._lock:
            self.disks = {**self.disks, disk.key: disk}

    def remove(self, key: tuple[int, int]) -> None:
        """A disk is gone."""
        with self._lock:
            self.disks = {k: d for k, d in self.disks.items() if k != key}

    def advance(self, seconds: float = 1.0, *, scale: float = 1.0) -> None:
        """Let time go by and every connected disk do some I/O, the same at every run."""
        with self._lock:
            self.now += seconds
            tick = self.now - START
            self.disks = {
                key: _worked(disk, seconds, scale * (1.0 + 0.6 * math.sin(tick / 9 + key[0]))) if disk.rings else disk
                for key, disk in self.disks.items()
            }
            self.foreign = tuple(served(disk, tick) for disk in self.foreign)

    def _called(self, verb: str, *args: object) -> None:
        if verb not in ("snapshot", "events", "requests", "ring_slots", "store"):
            self.calls.append((verb, *args))
        if (gate := self.hold.get(verb)) is not None:
            gate.wait(20)
        if (error := self.fail.get(verb)) is not None:
            raise error

    # -- Backend -------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        self._called("snapshot")
        with self._lock:
            return Snapshot(
                time=self.now,
                monotonic=self.now - START,
                host="fake",
                domid=0,
                domains=self.domains,
                disks=tuple(self.disks.values()),
                max_disks=64,
                started=self.started,
                foreign=self.foreign,
                engine=facts(self.now - START, ("MainThread", "control", *map(_thread, self.disks))),
                read_only=self.read_only,
                pending=self.pending,
            )

    def events(self, after: int) -> tuple[Event, ...]:
        self._called("events")
        return tuple(event for event in self.log if event.seq > after)

    def plan(self, request: AttachRequest, *, later: bool = False) -> AttachPlan:
        self._called("plan", request)
        vdev = parse_vdev(request.vdev)
        if not request.image.startswith("/"):
            raise UserError(
                f"image {request.image!r} does not exist", fix="create it or name another file", key="image"
            )
        if later and not request.domain.isdecimal():
            return AttachPlan(
                -1,
                request.domain,
                vdev.name,
                vdev.number,
                request.image,
                request.mode,
                131_072,
                (),
                (("sectors", "8"),),
            )
        domid = int(request.domain)
        if (domid, vdev.number) in self.disks:
            raise UserError(f"vdev {request.vdev!r} is taken", fix=f"use {self.next_vdev(request.domain)}", key="vdev")
        name = next(domain.name for domain in self.domains if domain.domid == domid)
        front = f"/local/domain/{domid}/device/vbd/{vdev.number}"
        back = f"/local/domain/0/backend/usblkback/{domid}/{vdev.number}"
        return AttachPlan(
            domid,
            name,
            vdev.name,
            vdev.number,
            request.image,
            request.mode,
            131_072,
            (
                (f"{back}/frontend", front),
                (f"{back}/frontend-id", str(domid)),
                (f"{back}/params", request.image),
                (f"{back}/mode", request.mode),
                (f"{back}/state", "1"),
                (f"{front}/backend", back),
                (f"{front}/backend-id", "0"),
                (f"{front}/virtual-device", str(vdev.number)),
                (f"{front}/device-type", "disk"),
                (f"{front}/state", "1"),
            ),
        )

    def attach(self, request: AttachRequest, wait: float = 0.0) -> DiskView:
        self._called("attach", request)
        plan = self.plan(request)
        disk = make_disk(
            plan.domid, plan.domain, plan.vdev, image=plan.image, mode=plan.mode, since=self.now, steps=self.steps
        )
        self.update(disk)
        return disk

    def attach_later(self, request: AttachRequest, seconds: float = 0.0) -> PendingAttach:
        self._called("attach_later", request)
        plan = self.plan(request, later=True)
        number = len(self.pending) + 1
        one = PendingAttach(
            number, request.domain, plan.vdev, plan.devid, plan.image, plan.mode, self.now, None, request.options
        )
        self.pending = (*self.pending, one)
        return one

    def resize(self, domain: str, vdev: str, sectors: int | None = None) -> DiskView:
        self._called("resize", domain, vdev, sectors)
        disk = self.disks[int(domain), parse_vdev(vdev).number]
        self.update(replace(disk, sectors=sectors or disk.sectors))
        return self.disks[disk.key]

    def detach(self, domain: str, vdev: str, *, force: bool = False, wait: float = 10.0) -> None:
        self._called("detach", domain, vdev, force)
        if any(one.domain == domain for one in self.pending):
            self.pending = tuple(one for one in self.pending if (one.domain, one.vdev) != (domain, vdev))
            return
        self.remove((int(domain), parse_vdev(vdev).number))

    def next_vdev(self, domain: str) -> str:
        self._called("next_vdev", domain)
        taken = {devid for domid, devid in self.disks if domid == int(domain)}
        return next(v.name for n in range(26) if (v := Vdev("xvd", n)).number not in taken)

    # -- closer looks --------------------------------------------------------------------------------------------

    def requests(self, domid: int, devid: int, after: Sequence[int] = (), limit: int = 256) -> tuple[RequestView, ...]:
        self._called("requests", domid, devid)
        if not self._connected(domid, devid).rings:
            raise UserError(f"vbd {devid} of domain {domid} is not connected", key="devid")
        newest = round((self.now - START) * 1000)
        seen = after[0] if after else 0
        return tuple(request(seq) for seq in range(max(seen, newest - limit) + 1, newest + 1))

    def ring_slots(self, domid: int, devid: int, ring: int) -> RingSlots:
        self._called("ring_slots", domid, devid, ring)
        rings = self._connected(domid, devid).rings
        if ring >= len(rings):
            raise UserError(f"vbd {devid} of domain {domid} has no ring {ring}", key="ring")
        return decoded(rings[ring], self.now)

    def _connected(self, domid: int, devid: int) -> DiskView:
        disk = self.disks.get((domid, devid))
        if disk is None:
            raise UserError(f"there is no vbd {devid} of domain {domid}", key="devid")
        return disk

    def store(self, path: str) -> StoreNode:
        self._called("store", path)
        return node(self.store_values, path)

    def store_write(self, path: str, value: str) -> None:
        self._called("store_write", path, value)
        self.store_values[path] = value

    def store_remove(self, path: str) -> None:
        self._called("store_remove", path)
        self.store_values.pop(path, None)


def _thread(key: tuple[int, int]) -> str:
    return f"vbd-{key[0]}-{key[1]}"


def _worked(disk: DiskView, seconds: float, load: float) -> DiskView:
    """The disk after ``seconds`` of a steady load with some of everything in it."""
    reads, writes = round(2400 * load * seconds), round(900 * load * seconds)
    c = disk.counters
    depth = max(1, round(6 * load))
    counters = replace(
        c,
        reads=c.reads + reads,
        writes=c.writes + writes,
        flushes=c.flushes + round(5 * seconds),
        bytes_read=c.bytes_read + reads * 4096,
        bytes_written=c.bytes_written + writes * 16384,
        in_flight=depth,
        responses=c.responses + reads + writes,
        notifies_sent=c.notifies_sent + (reads + writes) // 4,
        notifies_suppressed=c.notifies_suppressed + (reads + writes) * 3 // 4,
        wakeups=c.wakeups + (reads + writes) // 3,
        grants_mapped=412,
        maps=c.maps or 412,
    )
    done = counters.reads + counters.writes
    rings = tuple(
        replace(
            ring,
            req_prod=done + depth + 2,
            req_cons=done + depth,
            rsp_prod=done,
            req_event=done + depth + 3,
            rsp_event=done + 1,
            counters=counters,
        )
        for ring in disk.rings
    )
    read = histogram({60_000: counters.reads * 95 // 100, 410_000: counters.reads * 5 // 100})
    write = histogram({120_000: counters.writes * 9 // 10, 900_000: counters.writes // 10})
    return replace(disk, counters=counters, rings=rings, latency=Latency(read=read, write=write))


def house() -> FakeBackend:
    """Five disks of four guests: busy, idle, stuck in the handshake, closing, read-only."""
    stuck = Health(
        Severity.ERROR,
        "stuck 42 s: the guest has not written ring-ref; load its paravirtual block driver (xen-blkfront)",
    )
    closing = replace(
        make_disk(8, "test", "xvdc", health=Health(Severity.WARNING, "closing: 3 requests still in flight")),
        frontend_state=S.CLOSING,
        frontend_since=START - 2,
    )
    closing = replace(
        closing,
        expected=expected_step(S.CLOSING, S.CONNECTED),
        transitions=(*closing.transitions, StateChange(START - 2, "frontend", S.CONNECTED, S.CLOSING)),
    )
    backend = FakeBackend(
        make_disk(3, "web-01"),
        make_disk(3, "web-01", "xvdb", mode="r", image="/srv/images/debian-12-installer-amd64.iso"),
        make_disk(5, "db-02", rings=4),
        make_disk(7, "win-09", "xvda", steps=3, since=START - 42, health=stuck),
        closing,
        domains=(
            DomainView(0, "Domain-0"),
            DomainView(3, "web-01"),
            DomainView(5, "db-02"),
            DomainView(7, "win-09"),
            DomainView(8, "test"),
            DomainView(9, "spare"),
        ),
    )
    backend.say("frontend silent for 10 s: it has not published a ring", Severity.WARNING, domid=7, vdev="xvda")
    backend.say("a request for sector 131080 is beyond the end of the disk", Severity.ERROR, domid=5, vdev="xvda")
    return backend
