# SPDX-License-Identifier: MIT
"""What the guest knows of a disk's contents.

It lives outside the guest, so that what was written before a crash is still checked after it.
"""

from __future__ import annotations

import hashlib
import mmap
import os

from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.report import NOTEBOOK_BYTES, NR_NOTES


class Notebook:
    """The notebook of one vdev, mapped.  ``identity`` names the image: other words start an empty notebook."""

    nr_notes = NR_NOTES

    def __init__(self, fd: int, identity: str) -> None:
        self._fd = fd
        mark = int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=8).digest(), "little")
        self._map = mmap.mmap(fd, NOTEBOOK_BYTES)
        self.pointer = ffi.cast("front_book *", ffi.from_buffer(self._map))
        if self.pointer.identity != mark:
            self._forget()
            self.pointer.identity = mark
        if not self.pointer.granule:
            self.pointer.granule = 4096

    def connected(self, queues: int) -> None:
        """So many queues begin to count; what is said of the last connection ends."""
        book = self.pointer
        book.queues = queues
        book.most_queues = max(book.most_queues, queues)
        for number in range(book.most_queues):
            stats = book.stats[number]
            stats.fault, stats.inflight, stats.persistent = lib.FAULT_NONE, 0, 0

    @property
    def granule(self) -> int:
        """Bytes that share one note."""
        return int(self.pointer.granule)

    def use_granule(self, block: int) -> None:
        """Blocks of so many bytes will be written: note 4 KiB each, or the block if it is smaller or no multiple."""
        granule = 4096
        while block % granule:
            granule //= 2
        if granule != self.granule:
            self._forget()
            self.pointer.granule = granule

    def close(self) -> None:
        """The mapping ends with the process; the descriptor now."""
        os.close(self._fd)

    def _forget(self) -> None:
        os.ftruncate(self._fd, lib.FRONT_BOOK_BYTES)
        os.ftruncate(self._fd, NOTEBOOK_BYTES)
