# SPDX-License-Identifier: MIT
"""What lies in the slots of a shared ring: each one's state from the indices, and its bytes as a request or a response.

Pure, and never refuses: the bytes are the guest's, who may write anything at any time, so whatever is odd becomes the
``problem`` of what is shown.  The caller has copied the bytes out of shared memory.  What is served is decided in C
(``datapath/request.c``); this is for looking.  Source: xen/include/public/io/blkif.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from usblkback_tui.protocol.blkif import PAGE, PROTOCOLS, RING_HEADER, SECTOR, SEGMENTS_DIRECT, Op
from usblkback_tui.protocol.ring import MASK, distance, outstanding
from usblkback_tui.protocol.words import op_word, status_word

SECTORS_PER_PAGE = PAGE // SECTOR
_SEGMENTS_PER_INDIRECT_PAGE = PAGE // 8
_SECURE = 1
_SHOWN_PAGES = 8
"""Indirect pages a request has room for."""


class SlotState(Enum):
    """Who has a slot."""

    FREE = "free"
    """The frontend may fill it; what lies there is an answer it has taken, or a request it is writing."""
    UNREAD = "unread"
    """A request the backend has not looked at."""
    SERVICE = "in service"
    """The backend works on it, or has answered it without publishing the answer."""
    RESPONDED = "responded"
    """Answered, and the frontend has not said that it took the answer."""


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """A request as its bytes say."""

    op: str
    """``read``, ``write``, ``barrier``, ``flush``, ``discard``, ``indirect``, or ``op 9``."""
    id: int
    sector: int
    sectors: int
    """Sectors moved or discarded; 0 where only the indirect pages say it."""
    segments: int
    """Pages of data it claims."""
    pages: tuple[tuple[int, int, int], ...] = ()
    """(grant reference, first sector, last sector) of each page of data named in the slot itself."""
    indirect: str = ""
    """The operation inside an indirect request."""
    indirect_pages: tuple[int, ...] = ()
    """Grant references of the pages that list the data's pages."""
    secure: bool = False
    """A discard that wants the data gone for good."""
    problem: str = ""
    """Why it must not be served; empty for a request of good form."""


@dataclass(frozen=True, slots=True)
class SlotResponse:
    """A response as its bytes say."""

    id: int
    op: str
    status: str
    """``ok``, ``error``, ``unsupported``, or ``status 7``."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where 64-bit members begin: a 32-bit x86 guest aligns them to 4 bytes."""

    head: struct.Struct
    """operation, second byte, 16-bit word, id, sector"""
    body: int
    """Offset of segments, of a discard's number of sectors, and of an indirect request's handle."""
    response: struct.Struct


_NATIVE = _Layout(struct.Struct("<BBH4xQQ"), 24, struct.Struct("<QBxh4x"))
_X86_32 = _Layout(struct.Struct("<BBHQQ"), 20, struct.Struct("<QBxh"))
_SEGMENT = struct.Struct("<IBB2x")
_GREFS = struct.Struct("<8I")
_NR_SECTORS = struct.Struct("<Q")


def slot_states(*, req_prod: int, req_cons: int, rsp_prod: int, rsp_event: int, slots: int) -> tuple[SlotState, ...]:
    """The state of every slot of a ring, by slot number.

    Going back from ``req_prod``: unread down to ``req_cons``, in service down to ``rsp_prod``, then answers that the
    frontend has not taken, as far as ``rsp_event`` tells, and the rest is free.  ``req_prod`` and ``rsp_event`` are the
    guest's: whatever they are, no more slots are counted than there are.
    """
    states = [SlotState.FREE] * slots
    taken = outstanding(req_prod, rsp_prod, slots)
    served = min(distance(req_cons, rsp_prod), taken)
    for step in range(taken):
        states[(rsp_prod + step) % slots] = SlotState.SERVICE if step < served else SlotState.UNREAD
    behind = distance(rsp_prod, (rsp_event - 1) & MASK)
    if behind <= MASK // 2:  # else it waits for an answer to a request it has still to make
        for step in range(1, min(behind, slots - taken) + 1):
            states[(rsp_prod - step) % slots] = SlotState.RESPONDED
    return tuple(states)


def slot_bytes(ring: bytes, slot: int, protocol: str) -> bytes:
    """One slot of a copied ring.  Raises KeyError for an unknown protocol."""
    size = PROTOCOLS[protocol]
    return ring[RING_HEADER + slot * size : RING_HEADER + (slot + 1) * size]


def decode_request(slot: bytes, protocol: str) -> SlotRequest:
    """A slot's bytes as a request."""
    layout = _layout(protocol)
    op, second, word, ident, sector = layout.head.unpack_from(slot)
    if op == Op.DISCARD:
        (count,) = _NR_SECTORS.unpack_from(slot, layout.body)
        return SlotRequest(
            op=op_word(op),
            id=ident,
            sector=sector,
            sectors=count,
            segments=0,
            secure=bool(second & _SECURE),
            problem="" if count else "it discards nothing",
        )
    if op == Op.INDIRECT:
        pages = -(-word // _SEGMENTS_PER_INDIRECT_PAGE)
        return SlotRequest(
            op=op_word(op),
            id=ident,
            sector=sector,
            sectors=0,
            segments=word,
            indirect=op_word(second),
            indirect_pages=_GREFS.unpack_from(slot, layout.body + 4)[: min(pages, _SHOWN_PAGES)],
            problem=_indirect_problem(second, word, pages),
        )
    listed = slot[layout.body : layout.body + _SEGMENT.size * min(second, SEGMENTS_DIRECT)]
    segments = tuple(_SEGMENT.iter_unpack(listed))
    return SlotRequest(
        op=op_word(op),
        id=ident,
        sector=sector,
        sectors=sum(max(last - first + 1, 0) for _, first, last in segments),
        segments=second,
        pages=segments,
        problem=_direct_problem(op, second, segments),
    )


def decode_response(slot: bytes, protocol: str) -> SlotResponse:
    """A slot's bytes as a response."""
    ident, op, status = _layout(protocol).response.unpack_from(slot)
    return SlotResponse(id=ident, op=op_word(op), status=status_word(status))


def _layout(protocol: str) -> _Layout:
    return _X86_32 if protocol == "x86_32-abi" else _NATIVE


def _indirect_problem(op: int, segments: int, pages: int) -> str:
    if op not in (Op.READ, Op.WRITE):
        return f"{op_word(op)} cannot be indirect"
    if not segments:
        return "it has no data"
    if pages > _SHOWN_PAGES:
        return f"{segments} pages of data need more than {_SHOWN_PAGES} indirect pages"
    return ""


def _direct_problem(op: int, count: int, segments: tuple[tuple[int, int, int], ...]) -> str:
    if op not in (Op.READ, Op.WRITE, Op.WRITE_BARRIER, Op.FLUSH_DISKCACHE):
        return f"{op} is no operation"
    if count > SEGMENTS_DIRECT:
        return f"{count} pages of data are more than {SEGMENTS_DIRECT}"
    if not count and op in (Op.READ, Op.WRITE):
        return "it has no data"
    for index, (_, first, last) in enumerate(segments):
        if first > last or last >= SECTORS_PER_PAGE:
            return f"page {index} has sectors {first} to {last} of {SECTORS_PER_PAGE}"
    return ""
