# SPDX-License-Identifier: MIT
"""How a disk's load is split over its queues.

Each queue gets a stripe of the disk's blocks, so that only one thread ever works on a block and what must be read back
is known exactly; a share of the depth; and an equal share of the rate.
"""

from __future__ import annotations

from typing import Any

from usblkback_tui.engine.host.seam import PAGE_SIZE
from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.guest.disk import Disk
from usblkback_tui.engine.host.sim.load import Load
from usblkback_tui.protocol.blkif import SEGMENTS_DIRECT

VERIFY_DEPTH = 32
"""Requests of one granule that each queue has under way when it reads back."""
SEGMENTS_PER_PAGE = lib.FRONT_MAX_SEGMENTS // lib.FRONT_MAX_INDIRECT


def load_plans(load: Load, disk: Disk, granule: int, queues: int, slots: int) -> list[Any]:
    """The ``front_load`` of each queue that takes part: with less depth than queues, some have none."""
    block = min(load.block_bytes, disk.max_segments * PAGE_SIZE)
    block -= block % granule
    depth = max(1, load.depth)
    active = min(queues, depth)
    chunk = _chunk(disk, block) if load.discard_every and disk.discard else 1
    plans = []
    for queue in range(active):
        plan = _plan(load, queue, active, block, chunk)
        plan.depth = min(depth // active + (queue < depth % active), slots)
        plan.verify = load.verify
        plans.append(plan)
    return plans


def verify_plans(load: Load, granule: int, queues: int, slots: int) -> list[Any]:
    """The ``front_load`` of each queue that reads its stripe back."""
    plans = [_plan(load, queue, queues, granule, 1) for queue in range(queues)]
    for plan in plans:
        plan.depth = min(VERIFY_DEPTH, slots)
        plan.verify = True
    return plans


def flush_plan(granule: int) -> Any:
    """The ``front_load`` of a flush: a barrier and a flush at most, without pages."""
    plan = _plan(Load(), 0, 1, granule, 1)
    plan.depth = 2
    return plan


def pages_per_request(block: int) -> int:
    """Pages for the data of a request and for the list of them."""
    data = -(-block // PAGE_SIZE)
    return data + (-(-data // SEGMENTS_PER_PAGE) if data > SEGMENTS_DIRECT else 0)


def _plan(load: Load, queue: int, queues: int, block: int, chunk: int) -> Any:
    plan = ffi.new("front_load *")
    plan.queue, plan.queues = queue, queues
    plan.block, plan.chunk = block, chunk
    plan.read_percent = load.read_percent
    plan.rate, plan.span = load.rate, load.span_bytes
    plan.flush_every, plan.fua_every = load.flush_every, load.fua_every
    plan.discard_every, plan.secure_every = load.discard_every, load.secure_every
    plan.sequential, plan.spin = load.sequential, load.spin
    plan.seed = load.seed
    return plan


def _chunk(disk: Disk, block: int) -> int:
    """Blocks side by side so that a discard of whole units finds room in every chunk."""
    unit = disk.discard_granularity
    size = max(unit, block)
    if disk.discard_alignment or size % min(unit, block):  # units do not begin where chunks do
        size += unit
    return -(-size // block)
