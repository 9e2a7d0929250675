# SPDX-License-Identifier: MIT
"""Any bytes in any slot: one answer for each request, and status, guest memory and image as the model says."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.datapath.layouts import LAYOUTS, Segment
from tests.engine.datapath.model import Model
from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantMode
from usblkback_tui.engine.host.sim import Hypervisor
from usblkback_tui.protocol.blkif import PAGE, SECTOR

SECTORS, BEHIND = 64, 16
"""The disk, and what the file holds behind it."""
GOOD, READ_ONLY, DESCRIPTORS = range(9, 15), range(15, 18), range(18, 21)
"""References in the order the pages are granted below; 8 is the ring."""
REFS = [*GOOD, *READ_ONLY, *DESCRIPTORS, 21, 22, 4000, 40000, 0xFFFFFFFF]

refs = st.sampled_from([*GOOD, *GOOD, *READ_ONLY, *REFS])
sector = st.integers(0, SECTORS + 1) | st.sampled_from([0, 2**32, 2**55, 2**63, 2**64 - 8, 2**64 - 1])
inside = st.sampled_from([(0, 7), (0, 0), (7, 7), (2, 5), (3, 3)])
segment = st.builds(lambda ref, part: Segment(ref, *part), refs, inside)
bad_segment = st.builds(Segment, refs, st.integers(0, 255), st.integers(0, 255))
segments = st.lists(segment, max_size=5) | st.lists(segment | bad_segment, max_size=11)
data_op = st.sampled_from([0, 1, 0, 1, 2, 3])
any_op = data_op | st.integers(0, 255)
ident = st.integers(0, 2**64 - 1)


@dataclass(frozen=True, slots=True)
class World:
    mode: GrantMode
    protocol: str
    readonly: bool
    discard: bool
    max_segments: int
    budget: int
    descriptors: list[list[Segment]]


worlds = st.builds(
    World,
    mode=st.sampled_from(list(GrantMode)),
    protocol=st.sampled_from(list(LAYOUTS)),
    readonly=st.sampled_from([False, False, False, True]),
    discard=st.booleans(),
    max_segments=st.sampled_from([0, 1, 11, 32, 256, 4096]),
    budget=st.sampled_from([0, 1, 5, 1000]),
    descriptors=st.lists(st.lists(segment, min_size=1, max_size=4) | segments.filter(bool), min_size=3, max_size=3),
)


@st.composite
def slots(draw: st.DrawFn, protocol: str) -> bytes:
    layout = LAYOUTS[protocol]
    match draw(st.sampled_from(["rw", "rw", "lie", "discard", "indirect", "indirect", "noise"])):
        case "rw":
            return layout.rw(draw(data_op), draw(ident), draw(sector), draw(segments))
        case "lie":
            count = draw(st.integers(0, 14) | st.integers(0, 255))
            return layout.rw(draw(any_op), draw(ident), draw(sector), draw(segments), count=count)
        case "discard":
            flags = draw(st.sampled_from([0, 0, 0, 1, 2, 255]))
            return layout.discard(draw(ident), draw(sector), draw(sector), flags)
        case "indirect":
            count = draw(st.integers(0, 12) | st.sampled_from([0, 32, 33, 256, 257, 512, 513, 4097, 65535]))
            described = draw(st.lists(st.sampled_from([*DESCRIPTORS] * 4 + REFS), min_size=1, max_size=8))
            return layout.indirect(draw(any_op), draw(ident), draw(sector), count, described)
        case _:
            return draw(st.binary(min_size=layout.slot, max_size=layout.slot))


def _furnish(s: Served, world: World) -> None:
    """Pages and grants of all kinds, as the references above count them."""
    chance = random.Random(4)
    front = s.front
    pages = [front.page(chance.randbytes(PAGE)) for _ in GOOD]
    pages += [front.page(chance.randbytes(PAGE), readonly=True) for _ in READ_ONLY]
    for described in world.descriptors:
        packed = [one.pack() for one in described]
        pages.append(front.page(b"".join(packed[i % len(packed)] for i in range(512)), readonly=True))
    assert [page.ref for page in pages] == [*GOOD, *READ_ONLY, *DESCRIPTORS]
    front.grant(pages[0].frame, domid=5)
    front.grant(1 << 25)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), world=worlds)
def test_any_requests_do_what_the_model_says(hypervisor: Hypervisor, data: Any, world: World) -> None:
    requests = data.draw(st.lists(slots(world.protocol), min_size=1, max_size=8))
    contents = random.Random(2).randbytes((SECTORS + BEHIND) * SECTOR)
    image = os.memfd_create("image")
    os.write(image, contents)
    try:
        with Served(
            hypervisor,
            image,
            world.mode,
            protocol=world.protocol,
            memory_mib=1,
            sectors=SECTORS,
            readonly=world.readonly,
            discard=world.discard,
            max_segments=world.max_segments,
            persistent_pages=world.budget,
            running=False,
        ) as s:
            _furnish(s, world)
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
            expected = [model.run(request) for request in requests]
            s.start()
            responses = s.front.do(*requests)
            assert [(r.id, r.op, r.status) for r in responses] == expected
            assert not any(byte for r in responses for byte in r.padding)
            behind_ring = (s.front.ring_frame + 1) * PAGE
            assert s.front.memory[behind_ring:] == model.memory[behind_ring:]
            assert os.pread(image, len(contents) + 1, 0) == model.image
            counters = s.counters
            assert counters.responses == len(requests)
            assert counters.errors == sum(status != 0 for *_, status in expected)
            assert counters.bad_requests + counters.refused + counters.map_errors == counters.errors
            assert counters.grants_mapped <= (world.budget if world.mode is GrantMode.PERSISTENT else 0)
    finally:
        os.close(image)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    noise=st.binary(min_size=4096, max_size=4096),
    protocol=st.sampled_from(list(LAYOUTS)),
    mode=st.sampled_from(list(GrantMode)),
)
def test_a_whole_ring_page_of_noise(hypervisor: Hypervisor, noise: bytes, protocol: str, mode: GrantMode) -> None:
    """Indices included: the ring is served or given up, and the image keeps what no request may touch."""
    image = os.memfd_create("image")
    os.write(image, bytes(SECTORS * SECTOR) + b"b" * BEHIND * SECTOR)
    try:
        with Served(hypervisor, image, mode, protocol=protocol, memory_mib=1, sectors=SECTORS, running=False) as s:
            at = s.front.ring_frame * PAGE
            s.front.memory[at : at + PAGE] = noise
            s.start()
            s.front.kick()
            s.server.stop()
            s.ended()
            assert os.pread(image, BEHIND * SECTOR + 1, SECTORS * SECTOR) == b"b" * BEHIND * SECTOR
            assert not any(s.front.memory[at + PAGE :])
    finally:
        os.close(image)


def test_reading_the_disk_into_ones_own_ring_and_grant_table(hypervisor: Hypervisor) -> None:
    """A guest may ask to have its ring and its grants overwritten; it loses its disk, and nobody else anything."""
    image = os.memfd_create("image")
    os.write(image, random.Random(6).randbytes(SECTORS * SECTOR))
    try:
        for mode in GrantMode:
            with Served(hypervisor, image, mode, memory_mib=1) as s:
                table = s.front.grant(0)
                s.front.submit(
                    s.front.layout.rw(0, 1, 8, [Segment(table, 4, 7)]),
                    s.front.layout.rw(0, 2, 0, [Segment(s.front.ring_refs[0])]),
                    s.front.layout.rw(0, 3, 0, [Segment(table, 4, 7)]),
                )
                assert s.ended().name == "OVERFLOW"
    finally:
        os.close(image)
