# SPDX-License-Identifier: MIT
"""What the kernel says about a block device: its size, its sectors, its discard limits, and who uses it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# <linux/fs.h>; the first is _IOR(0x12, 114, size_t), the others are _IO.
_BLKGETSIZE64 = 0x80001272 | struct.calcsize("N") << 16
_BLKPBSZGET = 0x127B
_BLKSSZGET = 0x1268
_BLKSECDISCARD = 0x127D

_SYS = Path("/sys/dev/block")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class DiscardLimits:
    """What one discard can be.  Bytes; ``alignment`` is the offset of the first granule."""

    supported: bool = False
    granularity: int = 0
    alignment: int = 0
    secure: bool = False
    """The device can also make sure that nobody reads the old bytes again."""


def size(fd: int) -> int:
    """Bytes.  Raises OSError."""
    return int(struct.unpack("N", fcntl.ioctl(fd, _BLKGETSIZE64, bytes(struct.calcsize("N"))))[0])


def sector_sizes(fd: int) -> tuple[int, int]:
    """(logical, physical) bytes.  Raises OSError."""
    logical = struct.unpack("i", fcntl.ioctl(fd, _BLKSSZGET, bytes(4)))[0]
    physical = struct.unpack("I", fcntl.ioctl(fd, _BLKPBSZGET, bytes(4)))[0]
    return int(logical), int(physical)


def discard_limits(device: int, sys: Path = _SYS) -> DiscardLimits:
    """From sysfs, for the device number ``device``; a partition's queue is its disk's."""
    node = _node(device, sys)
    queue = node / "queue" if (node / "queue").is_dir() else node.resolve().parent / "queue"
    granularity = _number(queue / "discard_granularity")
    if not granularity or not _number(queue / "discard_max_bytes"):
        return DiscardLimits()
    return DiscardLimits(True, granularity, _number(node / "discard_alignment"))


def secure_discard(fd: int) -> bool:
    """Whether a device opened for writing can discard securely.  Erases nothing: the range asked for is no range.

    The kernel looks whether the device can do it before it looks at the range, since 5.19; older ones may say yes in
    vain, and then refuse each request.
    """
    try:
        fcntl.ioctl(fd, _BLKSECDISCARD, struct.pack("QQ", 1, 1))  # start and length are no multiples of 512
    except OSError as error:
        return error.errno == errno.EINVAL
    return False


def read_only(device: int, sys: Path = _SYS) -> bool:
    """Whether the kernel refuses writes to it, whatever the node's permissions are."""
    return _number(_node(device, sys) / "ro") != 0


def users(device: int, sys: Path = _SYS, proc: Path = _PROC) -> tuple[str, ...]:
    """What keeps a device or one of its partitions busy, in words: mounts, swap, and devices built on it."""
    found: list[str] = []
    for number, name in _with_partitions(device, sys):
        found += [f"{name} is mounted on {where}" for where in _mounts(number, proc)]
        found += [f"{name} is swap space" for _ in _swaps(name, proc)]
        found += [f"{name} is used by {holder}" for holder in _holders(sys / number)]
    return tuple(found)


def _with_partitions(device: int, sys: Path) -> Iterator[tuple[str, str]]:
    node = _node(device, sys)
    real = node.resolve()
    yield node.name, real.name
    for partition in sorted(real.glob("*/dev")):
        yield partition.read_text().strip(), partition.parent.name


def _mounts(number: str, proc: Path) -> list[str]:
    # mountinfo: id parent major:minor root mountpoint ...; blanks are written as \040
    lines = _text(proc / "self/mountinfo").splitlines()
    found = [words[4] for words in map(str.split, lines) if len(words) > 4 and words[2] == number]
    return [re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), where) for where in found]


def _swaps(name: str, proc: Path) -> list[str]:
    lines = _text(proc / "swaps").splitlines()[1:]
    return [line for line in lines if line.split()[:1] == [f"/dev/{name}"]]


def _holders(node: Path) -> list[str]:
    folder = node / "holders"
    if not folder.is_dir():
        return []
    return [_text(entry / "dm/name").strip() or entry.name for entry in sorted(folder.iterdir())]


def _node(device: int, sys: Path) -> Path:
    return sys / f"{os.major(device)}:{os.minor(device)}"


def _number(path: Path) -> int:
    text = _text(path).strip()
    return int(text) if re.fullmatch("[0-9]+", text) else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
