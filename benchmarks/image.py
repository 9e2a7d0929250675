# SPDX-License-Identifier: MIT
"""The file that all contenders work on: on a real file system, its pages in the cache."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
from io import FileIO
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.jobs import MIB

IMAGE_BYTES = 1 << 30
_UNFIT = ("tmpfs", "ramfs", "overlay", "overlayfs")
"""On tmpfs io_uring hands everything to its workers: a peer would look slower than it is on a disk."""


class Image:
    """A file of random bytes in ``folder``, kept from run to run.  Raises BenchmarkError."""

    def __init__(self, folder: Path, size: int = IMAGE_BYTES, name: str = "usblkback-tui-bench.img") -> None:
        self.path = folder / name
        self.paths = (self.path,)
        self.size = size
        folder.mkdir(parents=True, exist_ok=True)
        self.file_system = _file_system(folder)
        if self.file_system in _UNFIT:
            raise BenchmarkError(f"{folder} is on {self.file_system}; name a folder on ext4 or xfs with --dir")
        if not self.path.exists() or self.path.stat().st_size != size:
            self._fill()
        self._load()
        self.locked = self._lock()
        """The cache keeps it whatever the kernel would rather do; needs root or a high limit of locked memory."""

    def _fill(self) -> None:
        chunk = os.urandom(MIB)
        with self.path.open("wb") as file:
            for _ in range(self.size // MIB):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())

    def settle(self) -> None:
        """Bring it into the state every measurement begins with: all pages cached, none dirty."""
        with self.path.open("rb", buffering=0) as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # what O_DIRECT drove out; see _load
            _read_all(file)

    def _lock(self) -> bool:
        libc = ctypes.CDLL(None)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        with self.path.open("rb") as file:
            # private and read-only: writing the file back need not look at this mapping
            address = libc.mmap(None, self.size, mmap.PROT_READ, mmap.MAP_PRIVATE, file.fileno(), 0)
        return bool(address != ctypes.c_void_p(-1).value and libc.mlock(address, self.size) == 0)

    def _load(self) -> None:
        """Into the cache page by page, as a guest's own small requests bring it there.

        Read ahead it would lie in large folios, and on ext4 a write of 4 KiB then costs a walk over all blocks of a
        folio: ten times what the write itself does, for every contender.
        """
        with self.path.open("rb", buffering=0) as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            _read_all(file)


class Images:
    """``count`` of them, one for each disk.  Raises BenchmarkError."""

    def __init__(self, folder: Path, count: int, size: int) -> None:
        self._images = [Image(folder, size, f"usblkback-tui-bench-{number}.img") for number in range(count)]
        self.paths = tuple(image.path for image in self._images)
        self.file_system = self._images[0].file_system
        self.locked = all(image.locked for image in self._images)

    def settle(self) -> None:
        """All pages cached, none dirty."""
        for image in self._images:
            image.settle()


def _read_all(file: FileIO) -> None:
    buffer = bytearray(MIB)
    while file.readinto(buffer):
        pass


def _file_system(folder: Path) -> str:
    run = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=True)
    return run.stdout.strip()
