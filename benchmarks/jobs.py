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
    direct: bool = False
    """O_DIRECT: past the page cache."""
    disks: int = 1
    """That carry it at the same time."""

    @property
    def fio_rw(self) -> str:
        """fio's word for it: ``randread``, ``write``."""
        return ("" if self.sequential else "rand") + ("write" if self.write else "read")


_READ_QD32 = Job("randread-qd32", "4 KiB random read, QD32", 4 * KIB, 32)
_READ_QD1 = Job("randread-qd1", "4 KiB random read, QD1", 4 * KIB, 1)

JOBS = (
    _READ_QD32,
    Job("randwrite-qd32", "4 KiB random write, QD32", 4 * KIB, 32, write=True),
    _READ_QD1,
    Job("randwrite-qd1", "4 KiB random write, QD1", 4 * KIB, 1, write=True),
    Job("seqread-128k", "128 KiB sequential read, QD32", 128 * KIB, 32, sequential=True),
    Job("seqwrite-128k", "128 KiB sequential write, QD32", 128 * KIB, 32, write=True, sequential=True),
    # four requests of 256 pages are what a frontend's 1056 persistent grants hold
    Job("seqread-1m", "1 MiB sequential read, QD4", MIB, 4, sequential=True),
    Job("seqwrite-1m", "1 MiB sequential write, QD4", MIB, 4, write=True, sequential=True),
)
"""On a file in the page cache."""

DIRECT_JOBS = (
    Job("direct-randread-qd32", "4 KiB random read, QD32, O_DIRECT", 4 * KIB, 32, direct=True),
    Job("direct-randwrite-qd32", "4 KiB random write, QD32, O_DIRECT", 4 * KIB, 32, write=True, direct=True),
)
