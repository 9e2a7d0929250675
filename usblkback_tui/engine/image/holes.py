# SPDX-License-Identifier: MIT
"""Whether a file's filesystem can give space back, found out without changing a byte."""

from __future__ import annotations

import ctypes
import os

from usblkback_tui.engine.image.blockdev import DiscardLimits

_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
"""<linux/falloc.h>"""


def hole_limits(fd: int) -> DiscardLimits:
    """What a discard can be on a regular file opened for writing; the granule is the filesystem's block.

    A hole punched behind the end of the file has nothing to remove, and with KEEP_SIZE leaves the length as it is; a
    filesystem that has no holes refuses it all the same.  A filesystem may still refuse a later hole: the data path
    then stops offering.
    """
    block = os.fstatvfs(fd).f_bsize
    behind = (os.fstat(fd).st_size // block + 1) * block
    # not cffi: parsing one declaration would cost every start of the program a parser
    fallocate = ctypes.CDLL(None).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, behind, block) != 0:
        return DiscardLimits()
    return DiscardLimits(supported=True, granularity=block, alignment=0)
