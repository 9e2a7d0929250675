# SPDX-License-Identifier: MIT
"""Words for the numbers of requests and responses, for people; a number nobody defined is shown as it is."""

from __future__ import annotations

from usblkback_tui.protocol.blkif import Op, Status

_OPS = {
    Op.READ: "read",
    Op.WRITE: "write",
    Op.WRITE_BARRIER: "barrier",
    Op.FLUSH_DISKCACHE: "flush",
    Op.DISCARD: "discard",
    Op.INDIRECT: "indirect",
}
_STATUSES = {Status.OKAY: "ok", Status.ERROR: "error", Status.EOPNOTSUPP: "unsupported"}


def op_word(number: int) -> str:
    """``read``, ``write``, ``barrier``, ``flush``, ``discard``, ``indirect``, or ``op 9``."""
    return _OPS.get(number, f"op {number}")  # type: ignore[call-overload, no-any-return]


def status_word(number: int) -> str:
    """``ok``, ``error``, ``unsupported``, or ``status 7``."""
    return _STATUSES.get(number, f"status {number}")  # type: ignore[call-overload, no-any-return]
