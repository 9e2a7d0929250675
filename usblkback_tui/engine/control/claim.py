# SPDX-License-Identifier: MIT
"""One engine to a socket: who holds the claim may serve there.

A lock next to the socket, held as long as the process lives, tells a stale socket from a live one.  An engine claims
its place before it touches a disk, so that of two started at the same moment one ends without having done anything.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from usblkback_tui.engine.control.address import make_directory
from usblkback_tui.engine.control.wire import peer_of
from usblkback_tui.protocol.errors import UserError


class Claim:
    """The right to put a socket at ``path``; a context."""

    def __init__(self, path: Path) -> None:
        """Take it.  Raises UserError when another engine answers there, or the place cannot be used."""
        self.path = path
        self._fd = -1
        make_directory(path.parent)
        try:
            self._lock()
            self._clear()
        except OSError as error:
            self.release()
            raise unusable(path, error) from None
        except UserError:
            self.release()
            raise

    def release(self) -> None:
        """Give it up; idempotent.  The lock file stays: removing it would let two engines lock two files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _lock(self) -> None:
        self._fd = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise taken(self.path, os.pread(self._fd, 20, 0).decode(errors="replace").strip()) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _clear(self) -> None:
        """Remove the socket of an engine that was killed."""
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise UserError(
                f"{self.path} is there and no socket",
                fix="remove it or choose another place with --socket",
                key="socket",
                value=self.path,
            )
        if (pid := self._answering()) is not None:
            raise taken(self.path, str(pid))
        self.path.unlink()

    def _answering(self) -> int | None:
        """The process that listens all the same, for when a tidy-up took its lock file."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(1.0)
            try:
                sock.connect(str(self.path))
            except OSError:
                return None
            return peer_of(sock)[0]


def taken(path: Path, pid: str) -> UserError:
    """Another engine is there."""
    return UserError(
        f"an engine with pid {pid or '?'} already answers at {path}",
        fix="use that one, stop it, or choose another place with --socket",
        key="socket",
        value=path,
    )


def unusable(path: Path, error: OSError) -> UserError:
    """The system refuses the place."""
    return UserError(
        f"the control socket {path} cannot be made: {(error.strerror or str(error)).lower()}",
        fix="choose another place with --socket",
        key="socket",
        value=path,
    )
