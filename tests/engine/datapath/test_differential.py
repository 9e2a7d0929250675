# SPDX-License-Identifier: MIT
"""Every engine, grant mode, layout and ring size does what the model says, with many requests under way at a time.

Where an engine finishes requests in any order, what is on the ring together is cut so that no request meets another.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import asdict, dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.datapath.frontend import Page
from tests.engine.datapath.layouts import LAYOUTS, Segment
from tests.engine.datapath.model import Model, Touched, coarse, crosses_itself, meet
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantMode, IoEngine
from usblkback_tui.engine.host.sim import Hypervisor
from usblkback_tui.protocol.blkif import PAGE, SECTOR, Op, ring_slots

SECTORS, BEHIND = 4608, 16
"""The disk at its largest, with room for 4096 segments, and what the file holds behind it."""
FIRST = 2000
"""The reference of the first page."""
WRITABLE, READ_ONLY, DESCRIPTORS = range(2000, 2512), range(2512, 2520), range(2520, 2530)
STRANGE = (2530, 2531, 6000, 40000, 0xFFFFFFFF)
"""For another domain, of a frame that is not there, not granted, and beyond the table."""

ENGINES = (IoEngine.SYNC, IoEngine.IO_URING, IoEngine.MMAP, IoEngine.AUTO)
IN_ORDER = (IoEngine.SYNC, IoEngine.MMAP)


@dataclass(frozen=True, slots=True)
class World:
    engine: IoEngine
    mode: GrantMode
    protocol: str
    ring_pages: int
    start: int
    readonly: bool
    discard: bool
    max_segments: int
    persistent_pages: int
    max_map_pages: int
    single_map: bool
    waits: bool
    response_batch: int


def a_world(chance: random.Random) -> World:
    return World(
        engine=chance.choice(ENGINES),
        mode=chance.choice(list(GrantMode)),
        protocol=chance.choice(list(LAYOUTS)),
        ring_pages=chance.choice((1, 1, 2, 4, 8, 16)),
        start=chance.choice((0, 2**32 - 5, 2**31 - 3)),
        readonly=chance.random() < 0.1,
        discard=chance.random() < 0.7,
        max_segments=chance.choice((0, 11, 32, 256, 4096, 4096)),
        persistent_pages=chance.choice((0, 1, 5, 1000)),
        max_map_pages=chance.choice((1, 3, 128, 1024)),
        single_map=chance.random() < 0.5,
        waits=chance.random() < 0.5,
        response_batch=chance.choice((1, 8, 64)),
    )


def _ref(chance: random.Random, usual: range) -> int:
    return chance.choice(usual) if chance.random() < 0.97 else chance.choice((*READ_ONLY, *DESCRIPTORS, *STRANGE))


def _segment(chance: random.Random) -> Segment:
    ref = _ref(chance, WRITABLE)
    match chance.randrange(20):
        case 0:
            return Segment(ref, chance.randrange(256), chance.randrange(256))
        case 1 | 2 | 3 | 4 | 5:
            first = chance.randrange(8)
            return Segment(ref, first, chance.randrange(first, 8))
        case _:
            return Segment(ref)


def _sector(chance: random.Random) -> int:
    strange = (SECTORS - 1, SECTORS, SECTORS + 1, 2**32, 2**55, 2**63, 2**64 - 8, 2**64 - 1)
    return chance.choice(strange) if chance.random() < 0.04 else chance.randrange(SECTORS - 64)


def a_request(chance: random.Random, protocol: str, ident: int) -> bytes:
    layout = LAYOUTS[protocol]
    match chance.randrange(20):
        case 0:
            flags = chance.choice((0, 0, 0, 0, 1, 2, 255))
            return layout.discard(ident, _sector(chance), chance.choice((1, 8, 40, 200, 2**63)), flags)
        case 1:
            return layout.rw(chance.choice((Op.FLUSH_DISKCACHE, Op.WRITE_BARRIER)), ident, _sector(chance))
        case 2:
            data = [_segment(chance) for _ in range(chance.randint(1, 3))]
            return layout.rw(chance.choice((Op.FLUSH_DISKCACHE, Op.WRITE_BARRIER)), ident, _sector(chance), data)
        case 3:
            count = chance.choice((0, 12, 255))
            return layout.rw(chance.randrange(256), ident, _sector(chance), [_segment(chance)] * 11, count=count)
        case 4 | 5 | 6 | 7:
            count = chance.choice((1, 5, 30, 200, 1025, 4096)) if chance.random() < 0.95 else chance.randrange(65536)
            described = [_ref(chance, range(ref, ref + 1)) for ref in chance.sample(DESCRIPTORS, 8)]
            op = chance.choice((Op.READ, Op.WRITE)) if chance.random() < 0.95 else chance.randrange(256)
            return layout.indirect(op, ident, _sector(chance) // (8 if count > 500 else 1), count, described)
        case _:
            data = [_segment(chance) for _ in range(chance.choice((1, 1, 2, 11)))]
            return layout.rw(chance.choice((Op.READ, Op.WRITE)), ident, _sector(chance), data)


def _furnish(s: Served, chance: random.Random) -> None:
    """Pages and grants as the references above count them."""
    front = s.front
    refs = iter(range(FIRST, STRANGE[0]))

    def page(data: bytes, *, readonly: bool = False) -> Page:
        frame = front.page(data).frame
        return Page(front.grant(frame, ref=next(refs), readonly=readonly), frame)

    pages = [page(chance.randbytes(PAGE)) for _ in WRITABLE]
    pages += [page(chance.randbytes(PAGE), readonly=True) for _ in READ_ONLY]
    for number, _ in enumerate(DESCRIPTORS):
        # the first ones together are 4096 different sectors, each of the others as many pages as there are
        some = [Segment(ref, number, number) if number < 8 else Segment(ref) for ref in WRITABLE]
        chance.shuffle(some)
        pages.append(page(b"".join(segment.pack() for segment in some), readonly=True))
    assert [page.ref for page in pages] == [*WRITABLE, *READ_ONLY, *DESCRIPTORS]
    front.grant(pages[0].frame, domid=5, ref=STRANGE[0])
    front.grant(1 << 25, ref=STRANGE[1])


def _batch(model: Model, requests: list[bytes], world: World) -> tuple[list[bytes], Counter[tuple[int, int, int]]]:
    """Take what may be under way together off the list; and the answers it must have."""
    together: list[bytes] = []
    expected: Counter[tuple[int, int, int]] = Counter()
    touched: list[Touched] = []
    while requests and len(together) < ring_slots(world.ring_pages, world.protocol):
        answer = model.run(requests[0])
        # a page that must not be mapped twice cannot be read into while it is written from
        touches = coarse(model.touched) if world.single_map else model.touched
        if world.engine not in IN_ORDER and meet(touched, touches):
            model.take_back()
            break
        request = requests.pop(0)
        if crosses_itself(model.touched):
            model.take_back()
            continue
        touched += touches
        expected[answer] += 1
        together.append(request)
    return together, expected


def compare(hypervisor: Hypervisor, chance: random.Random, world: World, count: int) -> None:
    """``count`` random requests, and the size changed in between."""
    contents = random.Random(2).randbytes((SECTORS + BEHIND) * SECTOR)
    image = os.memfd_create("image")
    os.write(image, contents)
    config = asdict(world)
    del config["engine"]
    try:
        with Served(hypervisor, image, io=world.engine, sectors=SECTORS, running=False, **config) as s:
            _furnish(s, random.Random(4))
            model = Model(
                bytearray(contents),
                bytearray(s.front.memory[:]),
                SECTORS,
                world.mode,
                world.protocol == "x86_32-abi",
                world.readonly,
                world.discard,
                world.max_segments,
            )
            s.start()
            requests = [a_request(chance, world.protocol, ident) for ident in range(count)]
            answers = 0
            while requests:
                if chance.random() < 0.2:
                    model.sectors = chance.choice((SECTORS, SECTORS, SECTORS - 8, SECTORS // 2, 16))
                    s.vbd.set_sectors(model.sectors)
                together, expected = _batch(model, requests, world)
                responses = s.front.do(*together)
                assert Counter((r.id, r.op, r.status) for r in responses) == expected
                answers += len(together)
            assert os.pread(image, len(contents) + 1, 0) == model.image
            behind_ring = (s.front.ring_frame + world.ring_pages) * PAGE
            assert s.front.memory[behind_ring:] == model.memory[behind_ring:]
            assert s.counters.responses == answers
            assert s.counters.io_errors == 0
            assert s.counters.grants_mapped <= (world.persistent_pages if world.mode is GrantMode.PERSISTENT else 0)
    finally:
        os.close(image)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False))
def test_a_few_requests_that_shrink(hypervisor: Hypervisor, chance: random.Random) -> None:
    compare(hypervisor, chance, a_world(chance), chance.randint(1, 12))


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.value)
@pytest.mark.parametrize("seed", range(2))
def test_many_requests(hypervisor: Hypervisor, mode: GrantMode, engine: IoEngine, seed: int) -> None:
    chance = random.Random(f"{mode} {engine} {seed}")
    compare(hypervisor, chance, replace(a_world(chance), mode=mode, engine=engine), 150)
