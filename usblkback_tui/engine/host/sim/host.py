# SPDX-License-Identifier: MIT
"""The seam over the embedded hypervisor: ``SimHost`` is domain 0 of a machine without Xen."""

from __future__ import annotations

import errno
import threading
from dataclasses import replace

from usblkback_tui.engine.host.seam import (
    Caps,
    Channel,
    Commit,
    Domain,
    Grants,
    Hints,
    HostError,
    Permissions,
    Readiness,
)
from usblkback_tui.engine.host.sim.hypervisor import Hypervisor
from usblkback_tui.engine.host.sim.load import GuestOptions
from usblkback_tui.engine.host.sim.machine import SimGuest
from usblkback_tui.engine.host.sim.store import Connection, StoreError
from usblkback_tui.engine.settings import GuestSettings

CAPS = Caps(name="sim", transactions=True, grant_copy=True, domain_list=True, can_attach=True)


class SimHost:
    """A backend's view.  Several can share one hypervisor, one after another: a backend that dies and comes back.

    Without ``hypervisor`` it makes its own, which ends with :meth:`close`.  ``grant_copy=False`` is a host without it.
    """

    def __init__(self, hypervisor: Hypervisor | None = None, *, grant_copy: bool = True) -> None:
        self.caps = replace(CAPS, grant_copy=grant_copy)
        self.hypervisor = hypervisor or Hypervisor()
        self._owned = hypervisor is None
        self._store: Connection | None = None
        self._news = threading.Condition()
        self._tokens: set[str] = set()
        self._woken = False
        self._rivals: dict[str, str] = {}

    def add_guest(self, settings: GuestSettings, options: GuestOptions | None = None) -> SimGuest:
        """A running Linux with the load of ``settings``; it has no disk until one is attached.  Raises HostError."""
        return SimGuest(self.hypervisor, settings, options or GuestOptions())

    def show_statistics(self, folder: str) -> None:
        """Say where a model of the kernel's block backend keeps its statistics; see ``Caps.vbd_statistics``."""
        self.caps = replace(self.caps, vbd_statistics=folder)

    def add_rival(self, kind: str, who: str) -> None:
        """From now on somebody else serves a kind in domain 0, too."""
        self._rivals[kind] = who

    # Host ------------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        if self._store is None:
            self._store = self.hypervisor.store.connect(0, self._fired)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._owned:
            self.hypervisor.close()

    def domid(self) -> int:
        return 0

    def domains(self) -> tuple[Domain, ...]:
        return self.hypervisor.domains()

    def read(self, path: str) -> str | None:
        value = self.read_bytes(path)
        return None if value is None else value.decode(errors="replace")

    def read_bytes(self, path: str) -> bytes | None:
        try:
            return self._connection().read(path)
        except StoreError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def permissions(self, path: str) -> Permissions | None:
        try:
            (owner, others), *listed = self._connection().permissions(path)
        except StoreError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return Permissions(owner, others, tuple(listed))

    def list(self, path: str) -> tuple[str, ...]:
        try:
            return self._connection().list(path)
        except StoreError as error:
            if error.errno == errno.ENOENT:
                return ()
            raise

    def commit(self, changes: Commit) -> None:
        self._connection().commit(changes)

    def watch(self, path: str, token: str) -> None:
        self._connection().watch(path, token)

    def unwatch(self, path: str, token: str) -> None:
        try:
            self._connection().unwatch(path, token)
        except StoreError as error:
            if error.errno != errno.ENOENT:
                raise

    def wait(self, timeout: float | None) -> Hints:
        with self._news:
            self._news.wait_for(lambda: self._tokens or self._woken, timeout)
            tokens, self._tokens = frozenset(self._tokens), set()
            self._woken = False
        return Hints(tokens)

    def wake(self) -> None:
        with self._news:
            self._woken = True
            self._news.notify_all()

    def grants(self, domid: int) -> Grants:
        grants = self.hypervisor.open_grants(domid, self.domid())
        if not self.caps.grant_copy:
            grants.ops = replace(grants.ops, copy=0)
        return grants

    def bind(self, domid: int, port: int) -> Channel:
        return self.hypervisor.bind(domid, port, self.domid())

    def rivals(self) -> dict[str, str]:
        return dict(self._rivals)

    def readiness(self) -> tuple[Readiness, ...]:
        return (Readiness("embedded host", ok=True, seen=f"{len(self.domains()) - 1} guests in this process"),)

    def _connection(self) -> Connection:
        if self._store is None:
            raise HostError("the host is not open", errno=errno.EBADF)
        return self._store

    def _fired(self, path: str, token: str) -> None:
        with self._news:
            self._tokens.add(token)
            self._news.notify_all()
