# SPDX-License-Identifier: MIT
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.protocol.blkif import PROTOCOLS, fits, ring_slots, sectors_in
from usblkback_tui.protocol.ring import MASK, distance, outstanding, overflows, wants_notify

index = st.integers(0, MASK)


@given(index, st.integers(0, 1 << 20))
def test_distance_counts_steps_across_the_wrap(old: int, steps: int) -> None:
    assert distance((old + steps) & MASK, old) == steps


@given(index, st.integers(0, 64))
def test_a_ring_overflows_exactly_beyond_its_slots(rsp_prod: int, ahead: int) -> None:
    assert overflows((rsp_prod + ahead) & MASK, rsp_prod, 32) == (ahead > 32)
    assert outstanding((rsp_prod + ahead) & MASK, rsp_prod, 32) == min(ahead, 32)


@given(index, st.integers(1, 64), st.integers(-64, 128))
def test_notify_exactly_when_the_event_index_is_passed(old: int, steps: int, event_offset: int) -> None:
    """Moving from old to old + steps passes each index in (old, old + steps]."""
    new, event = (old + steps) & MASK, (old + event_offset) & MASK
    assert wants_notify(old, new, event) == (1 <= event_offset <= steps)


@given(index, index)
def test_an_index_behind_reads_as_an_overflow(req_prod: int, rsp_prod: int) -> None:
    assert overflows(req_prod, rsp_prod, 32) == ((req_prod - rsp_prod) % (1 << 32) > 32)


@pytest.mark.parametrize(
    ("pages", "protocol", "slots"),
    [
        (1, "x86_64-abi", 32),
        (1, "x86_32-abi", 32),
        (2, "x86_64-abi", 64),
        (4, "x86_64-abi", 128),
        (16, "x86_64-abi", 512),
    ],
)
def test_slots_are_the_largest_power_of_two_that_fits(pages: int, protocol: str, slots: int) -> None:
    assert ring_slots(pages, protocol) == slots
    assert 64 + slots * PROTOCOLS[protocol] <= pages * 4096 < 64 + 2 * slots * PROTOCOLS[protocol]


u64 = st.integers(0, 2**64 - 1)


@given(u64, u64, u64)
def test_bounds_never_overflow(sector: int, count: int, sectors: int) -> None:
    assert fits(sector, count, sectors) == (sector + count <= sectors)


def test_sizes_are_whole_sectors() -> None:
    assert sectors_in(0) == 0
    assert sectors_in(1536) == 3
    for odd in (511, 513, -512):
        with pytest.raises(ValueError, match="not a multiple of 512"):
            sectors_in(odd)
