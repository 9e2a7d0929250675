# SPDX-License-Identifier: MIT
"""xenstore through libxenstore: reads, transactions, and watches that wake one thread."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import threading
import time
from collections.abc import Iterator
from typing import Any

from usblkback_tui.engine.host.seam import Commit, Conflict, Expect, Hints, HostError, Permissions, Put, Remove
from usblkback_tui.engine.host.xen.libs import XenLibs

_NO_TRANSACTION = 0
_PERM_NONE, _PERM_READ = 0, 1
_LETTERS = "nrwb"
"""By the two lowest bits of a permission; newer xenstoreds have more bits, which are their own business."""

_ATTEMPTS = 40
_PAUSE, _LONGEST_PAUSE = 0.001, 0.1
"""Seconds between attempts of a colliding transaction, doubling: about 3.5 s in all."""

_QUIET_SECONDS = 5.0
"""How long nothing may happen before a wait makes sure that xenstored is still there."""

_LONGEST_SHOWN = 200
"""Characters of a path in a sentence."""

_EVENTS_PER_WAIT = 1024
"""A guest that floods a watched key gets this many events read at a time; what else waits is not starved."""


class XenStore:
    """One connection.  A single thread uses it; ``wake`` may come from any."""

    def __init__(self, libs: XenLibs) -> None:
        """Connect.  Raises HostError."""
        self._libs, self._ffi, self._lib = libs, libs.ffi, libs.store
        self._handle = self._lib.xs_open(0)
        if not self._handle:
            raise _error(
                "xenstore does not take our connection",
                self._ffi.errno,
                "start xenstored (systemctl start xenstored), and run as root",
            )
        self._fd = self._lib.xs_fileno(self._handle)
        self._wake_lock = threading.Lock()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._wake_fd, select.POLLIN)
        # On the wire a watch has a serial number as its token, so a late event of an ended watch means nothing.
        self._serials: dict[tuple[str, str], str] = {}
        self._tokens: dict[str, str] = {}
        self._serial = 0
        self._unread = False
        self._asked = time.monotonic()

    def close(self) -> None:
        """Idempotent; the watches end with the connection."""
        handle, self._handle = self._handle, None
        if handle:
            self._lib.xs_close(handle)
            with self._wake_lock:
                os.close(self._wake_fd)
                self._wake_fd = -1

    def read(self, path: str) -> str | None:
        """See the seam."""
        return self._read(_NO_TRANSACTION, path)

    def read_bytes(self, path: str) -> bytes | None:
        """See the seam."""
        return self._read_bytes(_NO_TRANSACTION, path)

    def permissions(self, path: str) -> Permissions | None:
        """See the seam."""
        count = self._ffi.new("unsigned int *")
        perms = self._lib.xs_get_permissions(self._live(), _NO_TRANSACTION, _c(path), count)
        if not perms:
            if self._ffi.errno == errno.ENOENT:
                return None
            raise self._failed("be asked for its permissions", path)
        try:
            entries = [(int(perms[index].id), _LETTERS[perms[index].perms & 3]) for index in range(count[0])]
        finally:
            self._libs.libc.free(perms)
        (owner, others), *listed = entries
        return Permissions(owner, others, tuple(listed))

    def list(self, path: str) -> tuple[str, ...]:
        """See the seam."""
        count = self._ffi.new("unsigned int *")
        names = self._lib.xs_directory(self._live(), _NO_TRANSACTION, _c(path), count)
        if not names:
            if self._ffi.errno == errno.ENOENT:
                return ()
            raise self._failed("be listed", path)
        try:  # the array and its strings are one block
            return tuple(self._text(names[index]) for index in range(count[0]))
        finally:
            self._libs.libc.free(names)

    def introduced(self, domid: int) -> bool:
        """Whether the domain is there: its directory may stand on after it."""
        return bool(self._lib.xs_is_domain_introduced(self._live(), domid))

    def commit(self, changes: Commit) -> None:
        """See the seam.  One write or removal alone is atomic by itself and costs one round trip instead of three."""
        if len(changes) == 1 and not isinstance(changes[0], Expect) and not _has_owner(changes[0]):
            self._apply(_NO_TRANSACTION, changes[0])
            return
        pause = _PAUSE
        for _ in range(_ATTEMPTS):
            if self._try(changes):
                return
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        first = changes[0].path if changes else ""
        raise HostError(
            f"xenstore transaction at {first} collided {_ATTEMPTS} times with others'",
            fix="look for a program that writes xenstore without pause, then try again",
            errno=errno.EAGAIN,
        )

    def may_write(self, path: str) -> bool:
        """Whether a node could be made or written at ``path``; tried in a transaction that is then dropped."""
        transaction = self._start()
        try:
            return bool(self._lib.xs_write(self._live(), transaction, _c(path), b"", 0))
        finally:
            self._lib.xs_transaction_end(self._live(), transaction, True)

    def watch(self, path: str, token: str) -> None:
        """See the seam."""
        if (path, token) in self._serials:
            self.unwatch(path, token)
        self._serial += 1
        serial = str(self._serial)
        self._tokens[serial] = token
        if not self._lib.xs_watch(self._live(), _c(path), _c(serial)):
            del self._tokens[serial]
            raise self._failed("be watched", path)
        self._serials[path, token] = serial

    def unwatch(self, path: str, token: str) -> None:
        """See the seam."""
        serial = self._serials.pop((path, token), None)
        if serial is None:
            return
        del self._tokens[serial]
        if not self._lib.xs_unwatch(self._live(), _c(path), _c(serial)) and self._ffi.errno != errno.ENOENT:
            raise self._failed("be unwatched", path)

    def wait(self, timeout: float | None) -> Hints:
        """See the seam."""
        self._live()
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            rest = 0.0 if self._unread else min(max(0.0, deadline - time.monotonic()), _QUIET_SECONDS)
            ready = dict(self._poll.poll(math.ceil(rest * 1000)))
            if self._wake_fd in ready:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake_fd)
            if self._fd in ready or self._unread:
                return Hints(frozenset(self._drain()))
            self._notice_death()
            if ready or time.monotonic() >= deadline:
                return Hints()

    def wake(self) -> None:
        """See the seam; harmless after ``close``."""
        with self._wake_lock:
            if self._wake_fd >= 0:
                with contextlib.suppress(BlockingIOError):  # the counter is full, so it is awake anyway
                    os.eventfd_write(self._wake_fd, 1)

    def _notice_death(self) -> None:
        """A lost connection makes no event, so a quiet store is asked something now and then.  Raises HostError."""
        now = time.monotonic()
        if now - self._asked >= _QUIET_SECONDS:
            self._asked = now
            self.read("domid")

    def _drain(self) -> Iterator[str]:
        for _ in range(_EVENTS_PER_WAIT):
            event = self._lib.xs_check_watch(self._live())
            if not event:
                self._unread = False
                if self._ffi.errno != errno.EAGAIN:
                    raise self._lost()
                return
            serial = self._text(event[1])
            self._libs.libc.free(event)
            if (token := self._tokens.get(serial)) is not None:
                yield token
        self._unread = True

    def _try(self, changes: Commit) -> bool:
        """One attempt; False when it collided."""
        transaction = self._start()
        try:
            for change in changes:
                self._apply(transaction, change)
        except BaseException as error:
            self._lib.xs_transaction_end(self._live(), transaction, True)
            if isinstance(error, HostError) and error.errno == errno.EAGAIN:
                return False
            raise
        if self._lib.xs_transaction_end(self._live(), transaction, False):
            return True
        if self._ffi.errno == errno.EAGAIN:
            return False
        raise self._failed("be committed", changes[0].path if changes else "/")

    def _start(self) -> int:
        transaction = int(self._lib.xs_transaction_start(self._live()))
        if transaction == _NO_TRANSACTION:
            number = self._ffi.errno
            if number in _LOST:
                raise self._lost()
            raise _error("xenstore starts no transaction", number, _FIXES.get(number, ""))
        return transaction

    def _apply(self, transaction: int, change: Put | Remove | Expect) -> None:
        if isinstance(change, Put):
            self._put(transaction, change)
        elif isinstance(change, Remove):
            if not self._lib.xs_rm(self._live(), transaction, _c(change.path)) and self._ffi.errno != errno.ENOENT:
                raise self._failed("be removed", change.path)
        elif (self._read(transaction, change.path) is not None) != change.present:
            raise Conflict(
                change.path, f"{change.path} {'is missing' if change.present else 'exists already'} in xenstore"
            )

    def _put(self, transaction: int, put: Put) -> None:
        value = put.value.encode(errors="surrogateescape")
        if not self._lib.xs_write(self._live(), transaction, _c(put.path), value, len(value)):
            raise self._failed("be written", put.path)
        if put.owner is None:
            return
        # The first entry is the owner, its bits are everybody else's.
        entries = [(put.owner, _PERM_NONE), *((reader, _PERM_READ) for reader in put.readers)]
        perms = self._ffi.new("struct xs_permissions[]", entries)
        if not self._lib.xs_set_permissions(self._live(), transaction, _c(put.path), perms, len(entries)):
            raise self._failed("be given permissions", put.path)

    def _read(self, transaction: int, path: str) -> str | None:
        value = self._read_bytes(transaction, path)
        return None if value is None else value.decode(errors="replace")

    def _read_bytes(self, transaction: int, path: str) -> bytes | None:
        length = self._ffi.new("unsigned int *")
        value = self._lib.xs_read(self._live(), transaction, _c(path), length)
        if not value:
            if self._ffi.errno == errno.ENOENT:
                return None
            raise self._failed("be read", path)
        try:
            return bytes(self._ffi.buffer(value, length[0]))
        finally:
            self._libs.libc.free(value)

    def _text(self, string: Any) -> str:
        return bytes(self._ffi.string(string)).decode(errors="replace")

    def _live(self) -> Any:
        if not self._handle:
            raise HostError("the connection to xenstore is closed", errno=errno.EBADF)
        return self._handle

    def _failed(self, verb: str, path: str) -> HostError:
        number = self._ffi.errno
        if number in _LOST:
            return self._lost()
        shown = path if len(path) <= _LONGEST_SHOWN else f"{path[:_LONGEST_SHOWN]}..."
        return _error(f"{shown} cannot {verb} in xenstore", number, _FIXES.get(number, ""))

    def _lost(self) -> HostError:
        return _error(
            "the connection to xenstore is lost",
            self._ffi.errno,
            "a xenstored that died cannot be replaced while domains run: save the guests and reboot",
        )


_LOST = (errno.EBADF, errno.EPIPE, errno.ECONNRESET)

_FIXES = {
    errno.EACCES: "run in dom0, or in a domain that the toolstack made a driver domain (driver_domain=1)",
    errno.EPERM: "run in dom0, or in a domain that the toolstack made a driver domain (driver_domain=1)",
    errno.ENOSPC: "a xenstore quota is used up: raise it (xenstored --entry-nb), or remove stale nodes",
    errno.E2BIG: "a path and its value have 4096 bytes together at most",
    errno.EINVAL: "paths have the characters A-Z a-z 0-9 - / _ @ only and no empty parts",
}


def _error(problem: str, number: int, fix: str = "") -> HostError:
    reason = "too long" if number == errno.E2BIG else os.strerror(number)  # whose words are about programs' arguments
    return HostError(f"{problem}: {reason}" if number else problem, fix=fix, errno=number)


def _has_owner(change: Put | Remove | Expect) -> bool:
    return isinstance(change, Put) and change.owner is not None


def _c(text: str) -> bytes:
    data = text.encode(errors="surrogateescape")
    if b"\0" in data:
        raise HostError(f"{text!r} has a NUL byte, which no xenstore path has", errno=errno.EINVAL)
    return data
