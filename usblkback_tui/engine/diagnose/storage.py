# SPDX-License-Identifier: MIT
"""What is wrong with the image behind a disk that is served."""

from __future__ import annotations

import os

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.rule import Found, Rule, Subject, counted, in_service
from usblkback_tui.engine.snapshot import Party, Severity

HUNG_SECONDS = 10.0
"""Storage that answers nothing for so long hangs, or is about to."""

STOP_SECONDS = 5.0
"""A ring that was asked to stop answers what it has begun first."""

SLOW_NS = 1e9


def _poisoned(case: Case) -> Found | None:
    if case.disk is None or not case.disk.poisoned:
        return None
    why = os.strerror(case.disk.poisoned)
    return Found(
        f"a flush failed ({why}): writes are refused until the disk is attached anew",
        (("errno", str(case.disk.poisoned)), ("writes refused", str(case.disk.counters.refused))),
    )


def _hung(case: Case) -> Found | None:
    disk = case.disk
    if disk is None:
        return None
    asked = case.now - disk.stopping_since if disk.stopping_since else 0.0
    still = max((case.now - ring.moved for ring in disk.rings if ring.moved and in_service(ring)), default=0.0)
    if asked <= STOP_SECONDS and still <= HUNG_SECONDS:
        return None
    return Found(
        f"the image has not answered for {max(asked, still):.0f} s",
        (("requests in flight", str(disk.counters.in_flight)), ("image", disk.image)),
    )


def _slow(case: Case) -> Found | None:
    disk = case.disk
    if disk is None or disk.recent_p99 < SLOW_NS:
        return None
    full = sum(ring.counters.in_flight >= ring.slots > 0 for ring in disk.rings)
    return Found(
        f"the storage is slow: one request of a hundred took longer than {disk.recent_p99 / 1e9:.1f} s of late",
        (
            ("p99 ms", f"{disk.recent_p99 / 1e6:.0f}"),
            ("requests in flight", str(disk.counters.in_flight)),
            ("full rings", str(full)),
            ("image", disk.image),
        ),
    )


def _io_errors(case: Case) -> Found | None:
    disk = case.disk
    if disk is None or not disk.counters.io_errors:
        return None
    last = os.strerror(disk.io_errno) if disk.io_errno else "unknown"
    return Found(
        f"{counted(disk.counters.io_errors, 'image error')}, the last: {last}",
        (("image errors", str(disk.counters.io_errors)), ("errno", str(disk.io_errno)), ("image", disk.image)),
    )


def _other_table(case: Case) -> Found | None:
    disk = case.disk
    if disk is None or disk.table_sector_size in (0, disk.sector_size):
        return None
    return Found(
        f"the partition table was written for sectors of {disk.table_sector_size} bytes and the guest sees "
        f"{disk.sector_size}: it finds no partitions",
        (("table sector size", str(disk.table_sector_size)), ("sector-size", str(disk.sector_size))),
    )


STORAGE = (
    Rule(
        "FLUSH-FAILED",
        Subject.IMAGE,
        Severity.ERROR,
        Party.OPERATOR,
        _poisoned,
        "a flush failed, so what was promised to be on the disk may be lost",
        ("look at the storage, check the file system, then attach the disk anew",),
        source="xen-blkfront takes an error to an empty flush for success",
    ),
    Rule(
        "IMAGE-HUNG",
        Subject.IMAGE,
        Severity.ERROR,
        Party.OPERATOR,
        _hung,
        "requests are in flight and nothing moves, or a ring does not stop",
        ("look at the storage behind it",),
        source="dead NFS, a lost path, a full thin pool",
    ),
    Rule(
        "IO-ERRORS",
        Subject.IMAGE,
        Severity.WARNING,
        Party.OPERATOR,
        _io_errors,
        "the image failed requests since the disk was attached",
        ("look at the storage and at dmesg; a file may have been cut short or its file system be full",),
        source="preadv, pwritev, fallocate",
    ),
    Rule(
        "SLOW-DISK",
        Subject.IMAGE,
        Severity.WARNING,
        Party.OPERATOR,
        _slow,
        "one request of a hundred took longer than a second in the last seconds",
        ("look at the storage: iostat -x 1",),
        source="latency of the last seconds",
    ),
    Rule(
        "TABLE-SECTOR-SIZE",
        Subject.LAYOUT,
        Severity.WARNING,
        Party.OPERATOR,
        _other_table,
        "EFI PART stands where sectors of the other size would have it",
        ("attach it with the table's size: --sector-size", "or write the table anew for 512"),
        source="QubesOS#4974, #7828, #7398",
    ),
)
"""In the order in which they are tried."""
