# SPDX-License-Identifier: MIT
"""What an image is, seen from outside: looks without locking, writes nothing."""

from __future__ import annotations

import os
import stat
from dataclasses import asdict, dataclass
from typing import Any

from usblkback_tui.engine.image import blockdev, locks, signatures
from usblkback_tui.engine.image.raw import look
from usblkback_tui.engine.image.sizes import SECTOR, size_problem
from usblkback_tui.protocol.errors import UserError


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """One image.  Sizes are bytes unless a name says otherwise."""

    path: str
    format: str
    """``raw``, or what its first bytes say it is instead: ``qcow2``, ``vmdk``, ``vhdx``, ``vhd``."""
    kind: str
    """``file`` or ``block``."""
    size: int
    sectors: int
    """Whole 512-byte sectors."""
    allocated: int
    """What it takes on its filesystem; a block device is always whole."""
    partition_table: str
    """``none``, ``mbr`` or ``gpt``."""
    table_sector_size: int
    """The sector size that the GPT was written for, 512 or 4096; 512 for an MBR; 0 for none."""
    filesystem: str
    """``ext4``, ``xfs``, ``swap``, ... when it covers the whole image; empty when none is recognised."""
    holders: tuple[locks.Holder, ...]
    """Who has it locked now."""
    users: tuple[str, ...]
    """What else keeps it busy, in words: mounts, loop devices, QEMU."""
    writable: bool
    """This user may write it."""
    problem: str = ""
    """Why it cannot be attached as it is; empty when it can."""

    def to_json(self) -> dict[str, Any]:
        """Every field; ``holders`` as objects."""
        return asdict(self)


def image_info(path: str) -> ImageInfo:
    """Look at ``path``.  Raises UserError (key ``image``) when it is missing, unreadable or no file or block device."""
    path, status = look(path)
    is_block = stat.S_ISBLK(status.st_mode)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        size = blockdev.size(fd) if is_block else os.fstat(fd).st_size
        seen = signatures.read(fd, size)
        users = blockdev.users(status.st_rdev) if is_block else _file_users(path, fd)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(fd)
    return ImageInfo(
        path=path,
        format=seen.format,
        kind="block" if is_block else "file",
        size=size,
        sectors=size // SECTOR,
        allocated=size if is_block else status.st_blocks * 512,
        partition_table=seen.partition_table,
        table_sector_size=seen.table_sector_size,
        filesystem=seen.filesystem,
        holders=locks.holders(status),
        users=users,
        writable=os.access(path, os.W_OK) and not (is_block and blockdev.read_only(status.st_rdev)),
        problem=_problem(path, size, seen.format, is_block),
    )


def _file_users(path: str, fd: int) -> tuple[str, ...]:
    users = [f"is behind {loop}" for loop in locks.loop_devices(path)]
    if locks.qemu_uses(fd, writable=False):
        users.append("is in use by QEMU")
    return tuple(users)


def _problem(path: str, size: int, form: str, is_block: bool) -> str:
    if wrong := size_problem(size, path, is_block):
        return str(wrong)
    if form != "raw":
        return f"image {path} looks like {form}; convert it: qemu-img convert -f {form} -O raw {path} {path}.raw"
    return ""


def _unreadable(path: str, error: OSError) -> UserError:
    return UserError(
        f"image {path} cannot be read: {error.strerror}",
        fix="run as root, or give this user rights on it",
        key="image",
        value=path,
    )
