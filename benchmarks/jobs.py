# SPDX-License-Identifier: MIT
"""The loads that are measured, in terms that both our guest and fio understand."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """One load on one disk: reads or writes, never mixed."""

    name: str
    title: str
    block_bytes: int
    depth: int
    write: bool = False
    sequential: bool = False

    @property
    def fio_rw(self) -> str:
        """fio's word for it: ``randread``, ``write``."""
        return ("" if self.sequential else "rand") + ("write" if self.write else "read")


JOBS = (
    Job("randread-qd32", "4 KiB random read, QD32", 4 * KIB, 32),
    Job("randwrite-qd32", "4 KiB random write, QD32", 4 * KIB, 32, write=True),
    # four requests of 256 pages are what a frontend's 1056 persistent grants hold
    Job("seqread-1m", "1 MiB sequential read, QD4", MIB, 4, sequential=True),
    Job("randread-qd1", "4 KiB random read, QD1", 4 * KIB, 1),
)
