# SPDX-License-Identifier: MIT
"""A raw image, opened and locked: a regular file or a block device, sector n at byte 512 * n."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from usblkback_tui.engine.image import blockdev, locks, signatures
from usblkback_tui.engine.image.blockdev import DiscardLimits
from usblkback_tui.engine.image.holes import hole_limits
from usblkback_tui.engine.image.sizes import SECTOR, size_problem
from usblkback_tui.protocol.errors import UserError


@dataclass(slots=True)
class _Descriptor:
    """The one thing about an open image that changes: it gets closed."""

    fd: int


@dataclass(frozen=True, slots=True)
class RawImage:
    """An open image.  The lock lives and dies with ``fd``; the facts are those of the moment it was opened."""

    path: str
    """Absolute, links not followed."""
    sectors: int
    """Size in 512-byte sectors."""
    writable: bool
    is_block: bool
    discard: DiscardLimits
    """Never supported when not writable."""
    logical_sector_size: int
    """Bytes; direct I/O in smaller pieces is refused."""
    physical_sector_size: int
    """Bytes; a smaller write costs a read of the rest.  A power of two, 512 or more."""
    sharers: tuple[locks.Holder, ...] = ()
    """Who else has it locked for reading; only without ``writable``."""
    direct: bool = False
    """Opened with O_DIRECT."""
    table_sector_size: int = 0
    """The sector size that its partition table was written for; 0: it has none, or it could not be read."""
    _descriptor: _Descriptor = field(default_factory=lambda: _Descriptor(-1), repr=False, compare=False)

    @property
    def fd(self) -> int:
        """For pread, pwrite, fdatasync and fallocate; -1 once closed."""
        return self._descriptor.fd

    def sectors_now(self) -> int:
        """The size of this moment, for a live resize; a file's odd end does not count.  Raises OSError."""
        return (blockdev.size(self.fd) if self.is_block else os.fstat(self.fd).st_size) // SECTOR

    def close(self) -> None:
        """Let go of the image and its lock; idempotent.  No thread may be using ``fd``."""
        fd, self._descriptor.fd = self._descriptor.fd, -1
        if fd >= 0:
            os.close(fd)


def open_image(path: str, writable: bool, *, direct: bool | None = False, sector_size: int = SECTOR) -> RawImage:
    """Open and lock ``path``; exclusively when ``writable``, beside other readers when not.

    ``direct`` opens it with O_DIRECT; None does so for a block device that takes pieces of ``sector_size`` bytes, which
    is what the guest will be told.  Raises UserError (key ``image``, ``direct_io`` or ``sector_size``) when it is no
    image, has no whole number of sectors, somebody else uses it, or it cannot be had like this.
    """
    path, status = look(path)
    is_block = stat.S_ISBLK(status.st_mode)
    fd = _open(path, writable, is_block, status)
    try:
        now = os.fstat(fd)
        if (now.st_mode, now.st_dev, now.st_ino) != (status.st_mode, status.st_dev, status.st_ino):
            raise _error(path, f"image {path} was replaced while it was being opened", "try again")
        os.set_blocking(fd, True)  # an asynchronous engine would take O_NONBLOCK at its word
        sharers = _lock(path, fd, writable, is_block, now)
        image = _facts(path, fd, writable, is_block, sharers)
        if problem := sector_problem(image.sectors, sector_size, path):
            raise problem
        if direct is None:
            return _direct_if_possible(image, sector_size) if is_block else image
        return _make_direct(image, sector_size) if direct else image
    except BaseException:
        os.close(fd)
        raise


def look(path: str) -> tuple[str, os.stat_result]:
    """The absolute path and its status, without opening: opening a FIFO waits, a tape rewinds, a watchdog starts.

    Raises UserError when there is nothing or nothing that can be an image.
    """
    if not path or "\0" in path:
        raise _error(path, f"image {path!r} is not a path", "name a file or a block device")
    path = os.path.abspath(path)
    with _words(path):
        status = os.stat(path)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is not None:
        raise _error(path, f"image {path} is {kind}", "use a regular file or a block device")
    return path, status


_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFSOCK: "a socket",
}


def _open(path: str, writable: bool, is_block: bool, status: os.stat_result) -> int:
    flags = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (os.O_RDWR if writable else os.O_RDONLY)
    if is_block and writable:
        flags |= os.O_EXCL  # the kernel refuses what is mounted, swapped on or part of another device
    try:
        with _words(path):
            return os.open(path, flags)
    except UserError as error:
        if is_block and isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EBUSY:
            users = blockdev.users(status.st_rdev)
            raise _error(
                path,
                f"block device {path} is in use"
                + (f": {', '.join(users)}" if users else " by a program that wants it alone"),
                "free it first, or attach it with mode r",
            ) from error
        raise


_LOCK_TRIES = 3


def _lock(path: str, fd: int, writable: bool, is_block: bool, status: os.stat_result) -> tuple[locks.Holder, ...]:
    by: tuple[locks.Holder, ...] = ()
    try:
        for _ in range(_LOCK_TRIES):
            free = locks.lock(fd, exclusive=writable)
            by = () if free else locks.holders(status)
            if free or by:
                break  # refused without a holder: he let go in between, so it is free now
    except OSError as error:
        raise _error(
            path,
            f"image {path} cannot be locked: {os.strerror(error.errno or 0)}",
            "move it to a filesystem with locks",
        ) from error
    if not free:
        raise _error(
            path, f"image {path} is locked by {_by(by)}", "detach it there first" if writable else "let it finish first"
        )
    if locks.qemu_uses(fd, writable):
        raise _error(path, f"image {path} is in use by QEMU", "stop that machine or tool first")
    if writable and not is_block and (loops := locks.loop_devices(path)):
        raise _error(path, f"image {path} is behind {', '.join(loops)}", f"free it: losetup -d {loops[0]}")
    if writable:
        return ()
    return tuple(holder for holder in locks.holders(status) if holder.pid != os.getpid())


def _by(holders: tuple[locks.Holder, ...]) -> str:
    return ", ".join(dict.fromkeys(holder.words for holder in holders)) or "a process this machine does not name"


def _facts(path: str, fd: int, writable: bool, is_block: bool, sharers: tuple[locks.Holder, ...]) -> RawImage:
    status = os.fstat(fd)
    with _words(path):
        if is_block:
            size = blockdev.size(fd)
            logical, physical = blockdev.sector_sizes(fd)
            discard = blockdev.discard_limits(status.st_rdev)
            if discard.supported and writable:
                discard = replace(discard, secure=blockdev.secure_discard(fd))
            if writable and blockdev.read_only(status.st_rdev):
                raise _error(path, f"block device {path} is read-only", "attach it with mode r")
        else:
            size, logical = status.st_size, SECTOR
            physical = _power_of_two(os.fstatvfs(fd).f_bsize)
            discard = hole_limits(fd) if writable else DiscardLimits()
    if problem := size_problem(size, path, is_block):
        raise problem
    return RawImage(
        path=path,
        sectors=size // SECTOR,
        writable=writable,
        is_block=is_block,
        discard=discard if writable else DiscardLimits(),
        logical_sector_size=logical,
        physical_sector_size=max(logical, physical),
        sharers=sharers,
        table_sector_size=_table_sector_size(fd, size),
        _descriptor=_Descriptor(fd),
    )


def _table_sector_size(fd: int, size: int) -> int:
    try:
        return signatures.read(fd, size).table_sector_size
    except OSError:
        return 0  # a hint that is not worth refusing an image


def sector_problem(sectors: int, sector_size: int, path: str) -> UserError | None:
    """Why an image of so many 512-byte sectors cannot be a disk of larger ones; None when it can."""
    if sectors * SECTOR % sector_size == 0:
        return None
    up = -(-sectors * SECTOR // sector_size) * sector_size
    return UserError(
        f"image {path} has {sectors * SECTOR} bytes, no whole number of {sector_size}-byte sectors",
        fix=f"pad it (truncate -s {up} {path}), or use sector_size 512",
        key="sector_size",
        value=sector_size,
    )


def _direct_if_possible(image: RawImage, sector_size: int) -> RawImage:
    try:
        return _make_direct(image, sector_size)
    except UserError:
        fcntl.fcntl(image.fd, fcntl.F_SETFL, fcntl.fcntl(image.fd, fcntl.F_GETFL) & ~os.O_DIRECT)
        return image


def _make_direct(image: RawImage, sector_size: int) -> RawImage:
    """Switch an open image to direct I/O, after trying what its filesystem or device takes."""
    fd, path = image.fd, image.path
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
        with mmap.mmap(-1, mmap.PAGESIZE) as page:  # a page of our own is as aligned as a guest's
            least = next((size for size in (SECTOR, 4096) if _reads(fd, page, size)), 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise _direct_error(path, f"direct I/O failed: {error.strerror}") from error
        least = 0
    least = max(least, image.logical_sector_size) if least else 0
    if not least:
        raise _direct_error(path, "its filesystem refuses direct I/O")
    if least > sector_size:
        raise UserError(
            f"image {path} takes direct I/O in pieces of {least} bytes only, and the guest may ask for {sector_size}",
            fix=f"use sector_size {least}, or attach it without direct_io",
            key="sector_size",
            value=sector_size,
        )
    return replace(
        image,
        direct=True,
        logical_sector_size=least,
        physical_sector_size=max(least, image.physical_sector_size),
    )


def _reads(fd: int, page: mmap.mmap, size: int) -> bool:
    """Whether direct I/O takes so small a piece."""
    with memoryview(page) as view, view[:size] as piece:
        try:
            os.preadv(fd, [piece], 0)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return False
            raise
    return True


def _direct_error(path: str, reason: str) -> UserError:
    return UserError(
        f"image {path} cannot be opened for direct I/O: {reason}",
        fix='set direct_io to "auto" or false',
        key="direct_io",
        value=True,
    )


def _power_of_two(block: int) -> int:
    """A filesystem's block as a physical sector: NFS and ZFS name up to 1 MiB, where a disk has 4 KiB at most."""
    return 4096 if block >= 4096 else 1024 if block >= 1024 else SECTOR


_REASONS = {
    errno.ENOENT: ("does not exist", "create it with: usblkback-tui image create {path} 10G"),
    errno.ENOTDIR: ("does not exist: part of its path is no directory", "check the path"),
    errno.EACCES: ("may not be opened by this user", "run as root, or give this user rights on it"),
    errno.EPERM: (
        "may not be opened by this user",
        "look for an immutable flag (lsattr {path}) or a container's device rules",
    ),
    errno.EROFS: ("is on a read-only filesystem", "attach it with mode r"),
    errno.ETXTBSY: ("is a running program or a swap file", "use another file"),
    errno.ELOOP: ("is a link to itself", "check the path"),
    errno.ENXIO: ("has no device behind it", "load its driver, or use another image"),
    errno.ENODEV: ("has no device behind it", "load its driver, or use another image"),
    errno.ENOMEDIUM: ("has no medium", "insert one"),
    errno.ENAMETOOLONG: ("is too long a path", "use a shorter one"),
}


@contextlib.contextmanager
def _words(path: str) -> Iterator[None]:
    """OSError becomes a sentence."""
    try:
        yield
    except OSError as error:
        reason, fix = _REASONS.get(error.errno or 0, (f"cannot be used: {error.strerror}", ""))
        raise _error(path, f"image {path} {reason}", fix.format(path=path)) from error


def _error(path: str, problem: str, fix: str) -> UserError:
    return UserError(problem, fix=fix, key="image", value=path)
