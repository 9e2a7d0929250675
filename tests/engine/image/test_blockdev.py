# SPDX-License-Identifier: MIT
"""What sysfs and /proc say about a block device, from trees made like theirs."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from usblkback_tui.engine.image.blockdev import DiscardLimits, discard_limits, read_only, secure_discard, users

DISK, PARTITION = os.makedev(8, 0), os.makedev(8, 1)


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """/sys/dev/block with sda (8:0) and its partition sda1 (8:1)."""
    disk = tmp_path / "devices/sda"
    (disk / "queue").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "ro").write_text("0\n")
    (disk / "discard_alignment").write_text("0\n")
    (disk / "queue/discard_granularity").write_text("4096\n")
    (disk / "queue/discard_max_bytes").write_text("2147450880\n")
    (disk / "sda1").mkdir()
    (disk / "sda1/dev").write_text("8:1\n")
    (disk / "sda1/ro").write_text("1\n")
    (disk / "sda1/discard_alignment").write_text("512\n")
    links = tmp_path / "dev"
    links.mkdir()
    (links / "8:0").symlink_to(disk)
    (links / "8:1").symlink_to(disk / "sda1")
    return links


def test_a_partition_has_its_disks_queue_and_its_own_alignment(sys: Path) -> None:
    assert discard_limits(DISK, sys) == DiscardLimits(True, 4096, 0)
    assert discard_limits(PARTITION, sys) == DiscardLimits(True, 4096, 512)


@pytest.mark.parametrize("limit", ["discard_granularity", "discard_max_bytes"])
def test_no_discard(sys: Path, limit: str) -> None:
    (sys / "8:0/queue" / limit).write_text("0\n")
    assert discard_limits(DISK, sys) == DiscardLimits()
    assert discard_limits(os.makedev(9, 9), sys) == DiscardLimits()


@pytest.mark.parametrize(
    ("answer", "secure"), [(errno.EINVAL, True), (errno.EOPNOTSUPP, False), (errno.ENOTTY, False), (errno.EBADF, False)]
)
def test_secure_discard_is_asked_for_with_a_range_that_is_none(
    monkeypatch: pytest.MonkeyPatch, answer: int, secure: bool
) -> None:
    asked = []

    def ioctl(fd: int, request: int, argument: bytes) -> int:
        asked.append((fd, request, struct.unpack("QQ", argument)))
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr("fcntl.ioctl", ioctl)
    assert secure_discard(7) is secure
    ((_, request, (start, length)),) = asked
    assert request == 0x127D, "BLKSECDISCARD"
    assert start % 512 or length % 512, "a range that the kernel cannot take"


def test_read_only_is_per_device(sys: Path) -> None:
    assert not read_only(DISK, sys)
    assert read_only(PARTITION, sys)


def test_users_of_a_disk_are_those_of_its_partitions_too(sys: Path, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/mountinfo").write_text(
        "22 1 8:1 / /srv/my\\040disk rw - ext4 /dev/sda1 rw\n23 1 8:16 / /x rw - ext4\n"
    )
    (proc / "swaps").write_text(
        "Filename Type Size Used Priority\n/dev/sda partition 1 0 -2\n/dev/sda11 partition 1 0 -2\n"
    )
    (sys / "8:0/holders/dm-3/dm").mkdir(parents=True)
    (sys / "8:0/holders/dm-3/dm/name").write_text("vg-root\n")
    (sys / "8:1/holders/md0").mkdir(parents=True)
    assert users(DISK, sys, proc) == (
        "sda is swap space",
        "sda is used by vg-root",
        "sda1 is mounted on /srv/my disk",
        "sda1 is used by md0",
    )
    assert users(PARTITION, sys, proc) == ("sda1 is mounted on /srv/my disk", "sda1 is used by md0")
