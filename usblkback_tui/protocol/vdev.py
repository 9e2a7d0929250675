# SPDX-License-Identifier: MIT
"""Virtual device numbers: ``xvda1`` on the command line, 51713 in xenstore.

Source: xen/docs/man/xen-vbd-interface.7.pandoc.  A number is one of

    202 << 8 | disk << 4 | partition    xvd, disks 0..15, partitions 0..15
    1 << 28  | disk << 8 | partition    xvd, disks 16.. or partitions 16..   (the extended encoding)
      8 << 8 | disk << 4 | partition    sd,  disks 0..15, partitions 0..15
      3 << 8 | disk << 6 | partition    hda, hdb, partitions 0..63
     22 << 8 | (disk - 2) << 6 | partition    hdc, hdd, partitions 0..63
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from usblkback_tui.protocol.errors import UserError

MAX_XVD_DISK = 26 + 26 * 26 - 1
"""xvdzz; the extended encoding has room for more, names beyond two letters are in no toolstack's habit."""

_NAME = re.compile(r"(xvd|sd|hd)([a-z]{1,2})([1-9][0-9]{0,2})?")
_EXTENDED = 1 << 28


@dataclass(frozen=True, slots=True)
class Vdev:
    """One virtual device: ``kind`` is xvd, sd or hd; ``disk`` counts from 0 (a); partition 0 is the whole disk."""

    kind: str
    disk: int
    partition: int = 0

    @property
    def name(self) -> str:
        """``xvda``, ``xvdaa3``, ``hdc``."""
        letters = chr(97 + self.disk) if self.disk < 26 else chr(96 + self.disk // 26) + chr(97 + self.disk % 26)
        return f"{self.kind}{letters}{self.partition or ''}"

    @property
    def number(self) -> int:
        """The devid in xenstore paths and in ``virtual-device``."""
        if self.kind == "xvd":
            if self.disk < 16 and self.partition < 16:
                return 202 << 8 | self.disk << 4 | self.partition
            return _EXTENDED | self.disk << 8 | self.partition
        if self.kind == "sd":
            return 8 << 8 | self.disk << 4 | self.partition
        major, unit = (3, self.disk) if self.disk < 2 else (22, self.disk - 2)
        return major << 8 | unit << 6 | self.partition


def parse_vdev(text: str) -> Vdev:
    """``xvdb``, ``sda1``, ``/dev/xvdc`` or a decimal or 0x number.  Raises UserError with the fix."""
    name = text.strip().removeprefix("/dev/")
    if match := _NAME.fullmatch(name):
        return _from_name(text, match)
    number = _number(name)
    if number is not None and (vdev := vdev_from_number(number)) is not None:
        return vdev
    raise UserError(
        f"vdev {text!r} is not a virtual device",
        fix="use a name like xvdb, xvdaa, sda1 or hdc",
        key="vdev",
        value=text,
    )


def vdev_from_number(number: int) -> Vdev | None:
    """Decode a devid; None when it is no encoding of this list."""
    if number < 0 or number >= 1 << 29:
        return None
    if number & _EXTENDED:
        vdev = Vdev("xvd", (number & ~_EXTENDED) >> 8, number & 0xFF)
        return vdev if vdev.disk <= MAX_XVD_DISK else None
    major, minor = number >> 8, number & 0xFF
    if major == 202:
        return Vdev("xvd", minor >> 4, minor & 15)
    if major == 8:
        return Vdev("sd", minor >> 4, minor & 15)
    if major in (3, 22):
        return Vdev("hd", (minor >> 6) + (0 if major == 3 else 2), minor & 63) if minor < 128 else None
    return None


def vdev_name(number: int) -> str:
    """The name a person reads for a devid; the bare number when it has no name."""
    vdev = vdev_from_number(number)
    return vdev.name if vdev else str(number)


_LIMITS = {"xvd": (MAX_XVD_DISK, 255), "sd": (15, 15), "hd": (3, 63)}


def _from_name(text: str, match: re.Match[str]) -> Vdev:
    kind, letters, partition = match[1], match[2], int(match[3] or 0)
    disk = ord(letters[-1]) - 97 + (26 * (ord(letters[0]) - 96) if len(letters) == 2 else 0)
    disks, partitions = _LIMITS[kind]
    if disk > disks or partition > partitions:
        last = Vdev(kind, disks).name
        raise UserError(
            f"vdev {text!r} is out of range",
            fix=f"{kind} has disks up to {last} and partitions up to {partitions}",
            key="vdev",
            value=text,
        )
    return Vdev(kind, disk, partition)


def _number(text: str) -> int | None:
    if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", text):
        return int(text, 16)
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    return None
