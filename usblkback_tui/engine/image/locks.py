# SPDX-License-Identifier: MIT
"""Who holds an image: advisory locks, and the loop devices the kernel made of it.

Two families of locks matter.  ``flock`` is ours (and mkfs's, fdisk's, systemd's).  QEMU takes open-file-description
byte locks instead, which never meet flock; its rule is that byte 100 + n is read-locked by who uses permission n and
byte 200 + n by who does not share it; permission 0 is reading and 1 is writing (qemu: block/file-posix.c).
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FLOCK = struct.Struct("hhqqi4x")
"""struct flock: type, whence, start, length, pid."""
_QEMU_WRITES, _QEMU_NO_OTHER_READER, _QEMU_NO_OTHER_WRITER = 101, 200, 201


@dataclass(frozen=True, slots=True)
class Holder:
    """A process with a lock.  ``pid`` is 0 when the kernel names none, ``command`` empty when it is gone or hidden."""

    pid: int
    command: str
    exclusive: bool

    @property
    def words(self) -> str:
        """``this engine``, ``qemu-system-x86 (pid 4711)``, ``pid 4711``, ``an unnamed process``."""
        if self.pid == os.getpid():
            return "this engine"
        if self.pid <= 0:
            return "an unnamed process"
        return f"{self.command} (pid {self.pid})" if self.command else f"pid {self.pid}"

    def to_json(self) -> dict[str, Any]:
        """For ``image info --json``."""
        return {"pid": self.pid, "command": self.command, "exclusive": self.exclusive}


def holders(status: os.stat_result, table: Path = Path("/proc/locks")) -> tuple[Holder, ...]:
    """Who has a flock on the inode of ``status``, from /proc/locks; empty when it cannot be read."""
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return ()
    # Some filesystems (btrfs, overlayfs) show another device there than stat does: the inode then has to do.
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    exact: list[Holder] = []
    similar: list[Holder] = []
    for line in lines:
        words = line.split()
        if len(words) < 6 or words[1] != "FLOCK":
            continue
        where, _, inode = words[5].rpartition(":")
        if inode == str(status.st_ino):
            pid = int(words[4]) if words[4].isdigit() else 0
            (exact if where == device else similar).append(Holder(pid, command(pid), words[3] == "WRITE"))
    return tuple(exact or similar)


def lock(fd: int, exclusive: bool) -> bool:
    """Take the image's flock without waiting.  False when somebody has it.

    Raises OSError for anything else; a filesystem without locks (ENOLCK, EOPNOTSUPP) is such a case.
    """
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def qemu_uses(fd: int, writable: bool) -> bool:
    """Whether a QEMU has the image open in a way that does not go with ours."""
    clashes = [_QEMU_WRITES, _QEMU_NO_OTHER_READER]
    if writable:
        clashes.append(_QEMU_NO_OTHER_WRITER)
    return any(_byte_locked(fd, byte) for byte in clashes)


def loop_devices(path: str, blocks: Path = Path("/sys/block")) -> tuple[str, ...]:
    """The loop devices that stand on the file ``path``."""
    real = os.path.realpath(path)
    found = []
    for backing in sorted(blocks.glob("loop*/loop/backing_file")):
        try:
            if backing.read_text().rstrip("\n") == real:
                found.append(f"/dev/{backing.parts[-3]}")
        except OSError:
            continue
    return tuple(found)


def command(pid: int) -> str:
    """A process's short name; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() if pid > 0 else ""
    except OSError:
        return ""


def _byte_locked(fd: int, byte: int) -> bool:
    # F_OFD_GETLK with a write lock: answers with the lock in the way, or F_UNLCK.  The pid must go in as 0.
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
    except OSError:
        return False
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
