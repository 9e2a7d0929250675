# SPDX-License-Identifier: MIT
"""Slots of a ring: states against a model that counts, bytes of both layouts, and bytes that mean nothing."""

from __future__ import annotations

import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.protocol.blkif import PROTOCOLS, Op, ring_slots
from usblkback_tui.protocol.ring import MASK
from usblkback_tui.protocol.slots import SlotState, decode_request, decode_response, slot_bytes, slot_states
from usblkback_tui.protocol.words import op_word, status_word

index = st.integers(0, MASK)
sizes = st.sampled_from([32, 64, 512])
layouts = st.sampled_from(sorted(PROTOCOLS))
NATIVE, OLD = "x86_64-abi", "x86_32-abi"


@st.composite
def rings(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    """(slots, rsp_cons, rsp_prod, req_cons, req_prod) of a ring that follows the rules, anywhere near the wrap."""
    slots = draw(sizes)
    rsp_cons = draw(index)
    untaken = draw(st.integers(0, slots))
    served = draw(st.integers(0, slots - untaken))
    unread = draw(st.integers(0, slots - untaken - served))
    rsp_prod = rsp_cons + untaken
    return slots, rsp_cons, rsp_prod & MASK, (rsp_prod + served) & MASK, (rsp_prod + served + unread) & MASK


@given(rings())
def test_states_of_a_ring_that_follows_the_rules(ring: tuple[int, int, int, int, int]) -> None:
    slots, rsp_cons, rsp_prod, req_cons, req_prod = ring
    states = slot_states(
        req_prod=req_prod, req_cons=req_cons, rsp_prod=rsp_prod, rsp_event=(rsp_cons + 1) & MASK, slots=slots
    )
    expected = {}
    for first, end, state in (
        (rsp_cons, rsp_prod, SlotState.RESPONDED),
        (rsp_prod, req_cons, SlotState.SERVICE),
        (req_cons, req_prod, SlotState.UNREAD),
    ):
        for step in range((end - first) & MASK):
            expected[((first + step) & MASK) % slots] = state
    assert states == tuple(expected.get(slot, SlotState.FREE) for slot in range(slots))


@given(index, index, index, index, sizes)
def test_no_index_a_guest_writes_makes_more_slots(a: int, b: int, c: int, d: int, slots: int) -> None:
    states = slot_states(req_prod=a, req_cons=b, rsp_prod=c, rsp_event=d, slots=slots)
    assert len(states) == slots
    assert sum(Counter(states).values()) == slots


def test_an_event_index_ahead_says_that_every_answer_was_taken() -> None:
    states = slot_states(req_prod=10, req_cons=10, rsp_prod=10, rsp_event=30, slots=32)
    assert set(states) == {SlotState.FREE}


@given(st.binary(min_size=112, max_size=112), layouts)
def test_any_bytes_are_some_request_and_some_response(data: bytes, protocol: str) -> None:
    request = decode_request(data, protocol)
    assert len(request.pages) <= 11
    assert len(request.indirect_pages) <= 8
    assert request.op
    assert request.problem == "" or "\n" not in request.problem
    response = decode_response(data, protocol)
    assert response.op
    assert response.status


def head(protocol: str, op: int, second: int, word: int, ident: int, sector: int) -> bytes:
    gap = "4x" if protocol == NATIVE else ""
    return struct.pack(f"<BBH{gap}QQ", op, second, word, ident, sector)


def slot(protocol: str, data: bytes) -> bytes:
    return data.ljust(PROTOCOLS[protocol], b"\xee")


@pytest.mark.parametrize("protocol", [NATIVE, OLD])
def test_the_fields_of_a_request(protocol: str) -> None:
    segments = struct.pack("<IBBHIBBH", 0xFFFFFFFE, 0, 7, 0xEEEE, 9, 2, 3, 0xEEEE)
    read = decode_request(slot(protocol, head(protocol, Op.READ, 2, 0, 2**64 - 1, 2**63) + segments), protocol)
    assert (read.op, read.id, read.sector, read.sectors, read.segments) == ("read", 2**64 - 1, 2**63, 10, 2)
    assert read.pages == ((0xFFFFFFFE, 0, 7), (9, 2, 3))
    assert read.problem == ""

    count = struct.pack("<Q", 2**64 - 1)
    discard = decode_request(slot(protocol, head(protocol, Op.DISCARD, 1, 0, 5, 6) + count), protocol)
    assert (discard.op, discard.sectors, discard.segments, discard.secure) == ("discard", 2**64 - 1, 0, True)

    grefs = struct.pack("<HH8I", 0xCA00, 0xEEEE, *range(100, 108))
    indirect = decode_request(slot(protocol, head(protocol, Op.INDIRECT, Op.WRITE, 513, 5, 6) + grefs), protocol)
    assert (indirect.op, indirect.indirect, indirect.segments) == ("indirect", "write", 513)
    assert indirect.indirect_pages == (100, 101)
    assert indirect.problem == ""


@pytest.mark.parametrize(
    ("op", "second", "word", "body", "words"),
    [
        (Op.READ, 0, 0, b"", "it has no data"),
        (Op.READ, 12, 0, b"", "12 pages of data are more than 11"),
        (Op.WRITE, 1, 0, struct.pack("<IBBH", 1, 5, 4, 0), "page 0 has sectors 5 to 4 of 8"),
        (Op.WRITE, 1, 0, struct.pack("<IBBH", 1, 0, 8, 0), "page 0 has sectors 0 to 8 of 8"),
        (9, 1, 0, b"", "9 is no operation"),
        (Op.DISCARD, 0, 0, bytes(8), "it discards nothing"),
        (Op.INDIRECT, Op.DISCARD, 1, b"", "discard cannot be indirect"),
        (Op.INDIRECT, Op.READ, 0, b"", "it has no data"),
        (Op.INDIRECT, Op.READ, 4097, b"", "4097 pages of data need more than 8 indirect pages"),
    ],
)
def test_what_is_wrong_is_said(op: int, second: int, word: int, body: bytes, words: str) -> None:
    request = decode_request(slot(NATIVE, head(NATIVE, op, second, word, 1, 2) + body), NATIVE)
    assert request.problem == words


def test_a_flush_needs_no_data() -> None:
    flush = decode_request(slot(NATIVE, head(NATIVE, Op.FLUSH_DISKCACHE, 0, 0, 1, 2)), NATIVE)
    assert (flush.op, flush.problem) == ("flush", "")


@pytest.mark.parametrize("protocol", [NATIVE, OLD])
def test_the_fields_of_a_response(protocol: str) -> None:
    response = decode_response(slot(protocol, struct.pack("<QBxh", 2**64 - 2, Op.WRITE, -2)), protocol)
    assert (response.id, response.op, response.status) == (2**64 - 2, "write", "unsupported")


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_each_slot_is_cut_out_where_it_lies(protocol: str) -> None:
    size = PROTOCOLS[protocol]
    slots = ring_slots(1, protocol)
    ring = (bytes(64) + b"".join(bytes([number]) * size for number in range(slots))).ljust(4096, b"\xff")
    for number in range(slots):
        assert slot_bytes(ring, number, protocol) == bytes([number]) * size


def test_numbers_without_a_word_are_shown() -> None:
    assert [op_word(op) for op in range(7)] == [
        "read",
        "write",
        "barrier",
        "flush",
        "op 4",
        "discard",
        "indirect",
    ]
    assert [status_word(status) for status in (0, -1, -2, 7)] == ["ok", "error", "unsupported", "status 7"]
