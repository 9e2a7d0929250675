# SPDX-License-Identifier: MIT
"""Ring slots as a frontend writes them, for both layouts.  Source: xen/include/public/io/blkif.h.

Nothing here refuses anything: any number may be put in any field.  What a request does not use is filled with ``FILL``,
so a backend that answers with what it found in the slot is seen.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

FILL = b"\xee"


@dataclass(frozen=True, slots=True)
class Segment:
    """Sectors ``first`` to ``last`` of the page granted as ``ref``."""

    ref: int
    first: int = 0
    last: int = 7

    def pack(self) -> bytes:
        return struct.pack("<IBB2s", self.ref & 0xFFFFFFFF, self.first, self.last, FILL * 2)

    @property
    def bytes(self) -> int:
        return (self.last - self.first + 1) * 512


@dataclass(frozen=True, slots=True)
class Response:
    """A response; ``padding`` is all of it that is no field."""

    id: int
    op: int
    status: int
    padding: bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """One way a compiler lays a request out: the bytes of a slot, of a response, and before ``id``."""

    slot: int
    response: int
    gap: int

    def _head(self, op: int, second: int, third: int, ident: int, sector: int) -> bytes:
        return struct.pack(f"<BBH{self.gap}xQQ", op, second, third, ident, sector)

    def _fill(self, request: bytes) -> bytes:
        assert len(request) <= self.slot
        return request.ljust(self.slot, FILL)

    def rw(self, op: int, ident: int, sector: int, segments: Sequence[Segment] = (), count: int | None = None) -> bytes:
        """Any operation but discard and indirect; ``count`` lies about the number of segments."""
        head = self._head(op, len(segments) if count is None else count, 0xCA00, ident, sector)
        return self._fill(head + b"".join(segment.pack() for segment in segments))

    def discard(self, ident: int, sector: int, count: int, flags: int = 0) -> bytes:
        return self._fill(self._head(5, flags, 0xCA00, ident, sector) + struct.pack("<Q", count))

    def indirect(self, op: int, ident: int, sector: int, count: int, refs: Sequence[int]) -> bytes:
        """``count`` segments, described in the pages granted as ``refs`` (at most 8)."""
        padded = [*refs, *[0xFFFFFFFF] * (8 - len(refs))]
        return self._fill(self._head(6, op, count, ident, sector) + struct.pack("<H2x8I", 0xCA00, *padded))

    def parse_response(self, raw: bytes) -> Response:
        ident, op, status = struct.unpack_from("<QBxh", raw)
        return Response(ident, op, status, raw[9:10] + raw[12 : self.response])


LAYOUTS = {"x86_64-abi": Layout(slot=112, response=16, gap=4), "x86_32-abi": Layout(slot=108, response=12, gap=0)}
