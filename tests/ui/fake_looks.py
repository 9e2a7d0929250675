# SPDX-License-Identifier: MIT
"""What the fake backend shows to a closer look: store writes, requests, slots, xenstore, the kernel's disks."""

from __future__ import annotations

from dataclasses import replace

from usblkback_tui.engine.inspection import Permission, RequestView, RingSlots, SlotView, StoreNode
from usblkback_tui.engine.snapshot import (
    EngineFacts,
    ForeignDisk,
    Health,
    KernelCounters,
    RingView,
    StoreWrite,
    ThreadFacts,
)
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.slots import SlotRequest, SlotResponse, SlotState, slot_states
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.vdev import parse_vdev

START = 1_700_000_000.0
"""Where the fake clock starts (``time.time``)."""

HANDSHAKE = (
    (0.000, "frontend", S.UNKNOWN, S.INITIALISING),
    (0.000, "backend", S.UNKNOWN, S.INITIALISING),
    (0.0062, "backend", S.INITIALISING, S.INIT_WAIT),
    (0.0372, "frontend", S.INITIALISING, S.INITIALISED),
    (0.0466, "backend", S.INIT_WAIT, S.CONNECTED),
    (0.0581, "frontend", S.INITIALISED, S.CONNECTED),
)

_KEYS: dict[tuple[str, S], tuple[tuple[str, str], ...]] = {
    ("backend", S.INIT_WAIT): (("feature-persistent", "1"), ("feature-flush-cache", "1"), ("max-ring-page-order", "4")),
    ("frontend", S.INITIALISED): (("ring-ref", "8"), ("event-channel", "17"), ("protocol", "x86_64-abi")),
    ("backend", S.CONNECTED): (("sectors", "131072"), ("sector-size", "512"), ("info", "0")),
}

STORE = {
    "/local/domain/0/name": "Domain-0",
    "/local/domain/0/backend/usblkback/3/51712/frontend": "/local/domain/3/device/vbd/51712",
    "/local/domain/0/backend/usblkback/3/51712/state": "4",
    "/local/domain/0/backend/usblkback/3/51712/sectors": "131072",
    "/local/domain/3/name": "web-01",
    "/local/domain/3/device/vbd/51712/state": "4",
    "/local/domain/3/device/vbd/51712/ring-ref": "8",
    "/vm/7f0a/name": "web-01",
}
"""Directories have no value."""


def handshake_writes(when: float, steps: int) -> tuple[StoreWrite, ...]:
    """What the first steps of a handshake write in the store."""
    found: list[StoreWrite] = []
    for at, end, _, new in HANDSHAKE[:steps]:
        found += [StoreWrite(when + at, end, path, value, end) for path, value in _KEYS.get((end, new), ())]
        found.append(StoreWrite(when + at, end, "state", str(int(new)), end))
    return tuple(found)


def make_foreign(domid: int, domain: str, vdev: str = "xvdk") -> ForeignDisk:
    """A connected disk of the kernel's backend."""
    return ForeignDisk(
        backend=0,
        kind="vbd",
        server="xen-blkback",
        domid=domid,
        domain=domain,
        devid=parse_vdev(vdev).number,
        vdev=vdev,
        image="/dev/vg/data",
        mode="w",
        device_type="disk",
        sectors=2_097_152,
        sector_size=512,
        frontend_state=S.CONNECTED,
        backend_state=S.CONNECTED,
        since=START - 600,
        online=True,
        health=Health(),
        counters=KernelCounters(0.0),
    )


def served(disk: ForeignDisk, tick: float) -> ForeignDisk:
    """The same after ``tick`` seconds of a steady load."""
    done = round(tick * 500)
    counters = KernelCounters(tick, reads=done, writes=done // 5, bytes_read=done * 4096, bytes_written=done * 1024)
    return replace(disk, counters=counters)


def facts(passed: float, threads: tuple[str, ...]) -> EngineFacts:
    """The engine's process after ``passed`` seconds."""
    found = tuple(
        ThreadFacts(4000 + at, name, 1.0 + passed * 0.01 * (at + 1), round(passed * 100 * at))
        for at, name in enumerate(threads)
    )
    return EngineFacts(
        monotonic=passed,
        pid=4000,
        uptime=100 + passed,
        threads=found,
        cpu_seconds=sum(thread.cpu_seconds for thread in found),
        wakeups=sum(thread.wakeups for thread in found),
        resident_bytes=57 * 2**20,
        descriptors=41,
        grants_mapped=412,
        grant_budget=8192,
    )


def request(seq: int) -> RequestView:
    """One request in each millisecond of the fake clock."""
    return RequestView(
        ring=0,
        seq=seq,
        time=START + seq / 1000,
        op="write" if seq % 4 == 0 else "flush" if seq % 97 == 0 else "read",
        indirect=seq % 16 == 0,
        sector=(seq * 7919) % 131_000,
        sectors=8 if seq % 4 else 128,
        segments=1 if seq % 4 else 16,
        latency_ns=25_000_000 + seq if seq % 50 == 0 else 40_000 + seq % 1000 * 100,
        status="error" if seq % 333 == 0 else "ok",
    )


def decoded(view: RingView, now: float) -> RingSlots:
    """A ring whose requests are all writes of two pages."""
    states = slot_states(
        req_prod=view.req_prod,
        req_cons=view.req_cons,
        rsp_prod=view.rsp_prod,
        rsp_event=view.rsp_event,
        slots=view.slots,
    )
    return RingSlots(
        ring=view.index,
        time=now,
        protocol=view.protocol,
        req_prod=view.req_prod,
        req_cons=view.req_cons,
        rsp_prod=view.rsp_prod,
        req_event=view.req_event,
        rsp_event=view.rsp_event,
        slots=tuple(_slot(index, state) for index, state in enumerate(states)),
    )


def _slot(index: int, state: SlotState) -> SlotView:
    if state in (SlotState.UNREAD, SlotState.SERVICE):
        write = SlotRequest("write", 0x100 + index, 8 * index, 16, 2, ((40, 0, 7), (41, 0, 7)))
        return SlotView(index, state, request=write)
    return SlotView(index, state, response=SlotResponse(0x100 + index, "read", "ok"))


def node(values: dict[str, str], path: str) -> StoreNode:
    """One node of a store of ``values``.  Raises UserError when there is none."""
    below = "/" if path == "/" else f"{path}/"
    children = sorted({one[len(below) :].split("/")[0] for one in values if one.startswith(below)})
    if path not in values and not children:
        raise UserError(f"there is no {path}", key="path")
    permissions = (Permission(3, "r"),) if "/3/" in path else ()
    return StoreNode(path, values.get(path, ""), tuple(children), owner=0, others="n", permissions=permissions)
