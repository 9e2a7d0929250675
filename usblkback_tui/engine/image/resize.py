# SPDX-License-Identifier: MIT
"""Give an image that is in use another size.  Only ever a larger one: what a guest wrote at its end would be lost."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from usblkback_tui.engine.image import blockdev
from usblkback_tui.engine.image.raw import RawImage, sector_problem
from usblkback_tui.engine.image.sizes import MAX_BYTES, SECTOR, human_size
from usblkback_tui.protocol.errors import UserError


@dataclass(frozen=True, slots=True)
class Resize:
    """An image that is to have another size, on a descriptor of its own: the disk may be detached meanwhile."""

    image: RawImage
    fd: int
    known: int
    """Sectors the guest was told of."""
    sector_size: int

    @classmethod
    def of(cls, image: RawImage, known: int, sector_size: int) -> Resize:
        """Begin.  ``close`` afterwards; until then the image stays locked."""
        return cls(image, os.dup(image.fd), known, sector_size)

    def close(self) -> None:
        """Let go of the image; once."""
        os.close(self.fd)

    def run(self, sectors: int | None) -> int:
        """The sectors the disk has from now on: ``sectors``, to which a file is grown, or without them what is there.

        May take long.  Raises UserError (key ``size``).
        """
        try:
            return self._present() if sectors is None else self._grown(sectors)
        except OSError as error:
            raise self._failed(error) from error

    def _present(self) -> int:
        unit = self.sector_size // SECTOR
        present = self._sectors() // unit * unit
        if present < self.known:
            raise self._error(
                f"image {self.image.path} has {_words(present)} now, and the guest knows of {_words(self.known)}",
                "make it as large as it was; a disk in use cannot shrink",
                present,
            )
        return present

    def _grown(self, sectors: int) -> int:
        path, present = self.image.path, self._sectors()
        if self.image.is_block:
            raise self._error(
                f"{path} is a block device, which this program cannot grow",
                "grow it with its own tools (lvextend, for example), then resize the disk without a size",
                sectors,
            )
        if not self.image.writable:
            raise self._error(
                f"image {path} is attached read-only",
                f"grow it yourself (truncate -s {sectors * SECTOR} {path}), then resize the disk without a size",
                sectors,
            )
        if not 0 < sectors * SECTOR <= MAX_BYTES:
            raise self._error(f"size {sectors} sectors is no size for a file", "stay below 8 EiB", sectors)
        if problem := sector_problem(sectors, self.sector_size, path):
            raise self._error(
                f"size {_words(sectors)} is no whole number of {self.sector_size}-byte sectors", problem.fix, sectors
            )
        if sectors < max(present, self.known):
            raise self._error(
                f"image {path} has {_words(max(present, self.known))} and is never made smaller",
                "name a larger size, or none to take over the size it has",
                sectors,
            )
        if sectors > present:
            os.ftruncate(self.fd, sectors * SECTOR)
        return sectors

    def _sectors(self) -> int:
        return (blockdev.size(self.fd) if self.image.is_block else os.fstat(self.fd).st_size) // SECTOR

    def _error(self, problem: str, fix: str, sectors: int) -> UserError:
        return UserError(problem, fix=fix, key="size", value=sectors)

    def _failed(self, error: OSError) -> UserError:
        path = self.image.path
        if error.errno in (errno.EFBIG, errno.EINVAL):
            return self._error(
                f"image {path} cannot be so large: its filesystem refuses it", "name a smaller size", self.known
            )
        return self._error(f"image {path} cannot be resized: {error.strerror}", "look at the storage", self.known)


def _words(sectors: int) -> str:
    return f"{human_size(sectors * SECTOR)} ({sectors} sectors)"
