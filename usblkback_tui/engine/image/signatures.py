# SPDX-License-Identifier: MIT
"""What the first sectors of an image say: partition table, filesystem, or that it is no raw image at all.

Hints for people.  A guest writes these bytes, so nothing is decided by them.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

_FORMATS = {b"QFI\xfb": "qcow2", b"KDMV": "vmdk", b"vhdxfile": "vhdx", b"conectix": "vhd"}

_FILESYSTEMS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"XFSB", "xfs"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"hsqs", "squashfs"),
    (3, b"NTFS    ", "ntfs"),
    (3, b"EXFAT   ", "exfat"),
    (82, b"FAT32   ", "vfat"),
    (54, b"FAT12   ", "vfat"),
    (54, b"FAT16   ", "vfat"),
    (512, b"LABELONE", "lvm2"),
    (1024, b"\xe2\xe1\xf5\xe0", "erofs"),
    (4086, b"SWAPSPACE2", "swap"),
    (0x8001, b"CD001", "iso9660"),
    (0x10040, b"_BHRfS_M", "btrfs"),
)
"""(offset, magic, name)"""

_HEAD = 0x10048
"""Bytes from the start that hold every magic above."""


@dataclass(frozen=True, slots=True)
class Signatures:
    """See :class:`~usblkback_tui.engine.image.info.ImageInfo` for the values."""

    format: str = "raw"
    partition_table: str = "none"
    table_sector_size: int = 0
    filesystem: str = ""


def read(fd: int, size: int) -> Signatures:
    """Look at the head of an open image.  Raises OSError."""
    head = os.pread(fd, min(size, _HEAD), 0)
    form = next((name for magic, name in _FORMATS.items() if head.startswith(magic)), "raw")
    if form != "raw":
        return Signatures(format=form)
    if sector := _gpt(head):
        return Signatures(partition_table="gpt", table_sector_size=sector)
    filesystem = _filesystem(head)
    if not filesystem and _mbr(head):
        return Signatures(partition_table="mbr", table_sector_size=512)
    return Signatures(filesystem=filesystem)


def _gpt(head: bytes) -> int:
    """The sector size whose sector 1 holds a GPT header; 0 for none."""
    return next((sector for sector in (512, 4096) if head[sector : sector + 8] == b"EFI PART"), 0)


def _mbr(head: bytes) -> bool:
    """A boot signature and four sane entries of which one is used; a boot sector of a filesystem has only the first."""
    if head[510:512] != b"\x55\xaa":
        return False
    entries = [struct.unpack_from("<B3xB3xII", head, 446 + 16 * index) for index in range(4)]
    sane = all(status in (0x00, 0x80) for status, _, _, _ in entries)
    return sane and any(kind and sectors for _, kind, _, sectors in entries)


def _filesystem(head: bytes) -> str:
    for offset, magic, name in _FILESYSTEMS:
        if head[offset : offset + len(magic)] == magic:
            return name
    return _ext(head)


def _ext(head: bytes) -> str:
    """ext2, 3 or 4 by the features that tell them apart: a journal, and extents or what came with them."""
    if head[1024 + 0x38 : 1024 + 0x3A] != b"\x53\xef" or len(head) < 2048:
        return ""
    compatible, incompatible = struct.unpack_from("<II", head, 1024 + 0x5C)
    if incompatible & 0x2C0:  # extents, 64bit, flex_bg
        return "ext4"
    return "ext3" if compatible & 0x4 else "ext2"
