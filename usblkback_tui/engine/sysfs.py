# SPDX-License-Identifier: MIT
"""The statistics that the kernel's xen-blkback shows of each vbd.  Source: drivers/block/xen-blkback/xenbus.c.

Files of one number each below ``vbd-<domid>-<devid>/statistics``, in requests and 512-byte sectors.
"""

from __future__ import annotations

import os
import time

from usblkback_tui.engine.snapshot import KernelCounters
from usblkback_tui.protocol.blkif import SECTOR


def read_counters(root: str, domid: int, devid: int) -> KernelCounters | None:
    """The counters of one vbd; None when the kernel does not serve it.  ``root``: ``/sys/bus/xen-backend/devices``."""
    folder = f"{root}/vbd-{domid}-{devid}/statistics"
    reads = _number(folder, "rd_req")
    if reads is None:
        return None
    return KernelCounters(
        monotonic=time.monotonic(),
        reads=reads,
        writes=_number(folder, "wr_req") or 0,
        flushes=_number(folder, "f_req") or 0,
        discards=_number(folder, "ds_req") or 0,
        bytes_read=(_number(folder, "rd_sect") or 0) * SECTOR,
        bytes_written=(_number(folder, "wr_sect") or 0) * SECTOR,
        out_of_requests=_number(folder, "oo_req") or 0,
    )


def _number(folder: str, name: str) -> int | None:
    try:
        fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return max(int(os.read(fd, 64)), 0)
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)
