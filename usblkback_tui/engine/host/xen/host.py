# SPDX-License-Identifier: MIT
"""Xen on Linux as a :class:`~usblkback_tui.engine.host.seam.Host`."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

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
from usblkback_tui.engine.host.xen import memory, readiness
from usblkback_tui.engine.host.xen.channel import XenChannel
from usblkback_tui.engine.host.xen.contact import connect
from usblkback_tui.engine.host.xen.libs import XenLibs, open_libs
from usblkback_tui.engine.host.xen.memory import XenGrants
from usblkback_tui.engine.host.xen.store import XenStore

_DOMAINS = "/local/domain"
_STATISTICS = "sys/bus/xen-backend/devices"


class XenHost:
    """The Xen below this kernel.  ``root`` and ``libraries`` say where /dev, /proc, /sys and the libraries are."""

    def __init__(self, root: Path = Path("/"), libraries: Mapping[str, str] = MappingProxyType({})) -> None:
        """Looks at nothing yet.  ``libraries`` maps a name such as ``libxenstore`` to a file."""
        self.caps = Caps(name="xen")
        self._root = root
        self._paths = libraries
        self._libs: XenLibs | None = None
        self._store: XenStore | None = None
        self._domid = 0

    def open(self) -> None:
        """See the seam; again is harmless."""
        if self._store is not None:
            return
        for line in readiness.machine(self._root, self._paths):
            if not line.ok:
                raise HostError(line.seen, fix=line.fix)
        libs = open_libs(self._paths)
        copy = memory.can_copy(libs)
        store = connect(libs)
        try:
            self._domid = readiness.own_domid(store, self._root)
            self.caps = Caps(
                name="xen",
                transactions=True,
                grant_copy=copy,
                domain_list=_may_list(store),
                can_attach=readiness.is_control_domain(self._root),
                max_map_pages=readiness.map_limit(self._root) or Caps(name="").max_map_pages,
                vbd_statistics=str(self._root / _STATISTICS),
            )
        except HostError:
            store.close()
            raise
        self._libs, self._store = libs, store

    def close(self) -> None:
        """See the seam.  Grants and channels have handles of their own and are closed by who has them."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def domid(self) -> int:
        """See the seam."""
        self._opened()
        return self._domid

    def domains(self) -> tuple[Domain, ...]:
        """See the seam; a directory that outlived its domain does not count."""
        store = self._opened()
        if not self.caps.domain_list:
            return ()
        ids = sorted(int(name) for name in store.list(_DOMAINS) if name.isdecimal())
        return tuple(
            Domain(domid, _readable(store, domid, "name") or f"Domain-{domid}", _readable(store, domid, "vm"))
            for domid in ids
            if domid == self._domid or store.introduced(domid)
        )

    def read(self, path: str) -> str | None:
        """See the seam."""
        return self._opened().read(path)

    def read_bytes(self, path: str) -> bytes | None:
        """See the seam."""
        return self._opened().read_bytes(path)

    def permissions(self, path: str) -> Permissions | None:
        """See the seam."""
        return self._opened().permissions(path)

    def list(self, path: str) -> tuple[str, ...]:
        """See the seam."""
        return self._opened().list(path)

    def commit(self, changes: Commit) -> None:
        """See the seam."""
        self._opened().commit(changes)

    def watch(self, path: str, token: str) -> None:
        """See the seam."""
        self._opened().watch(path, token)

    def unwatch(self, path: str, token: str) -> None:
        """See the seam."""
        self._opened().unwatch(path, token)

    def wait(self, timeout: float | None) -> Hints:
        """See the seam."""
        return self._opened().wait(timeout)

    def wake(self) -> None:
        """See the seam; harmless on a closed host."""
        store = self._store
        if store is not None:
            store.wake()

    def grants(self, domid: int) -> Grants:
        """See the seam."""
        return XenGrants(self._loaded(), domid, self.caps.grant_copy)

    def bind(self, domid: int, port: int) -> Channel:
        """See the seam."""
        return XenChannel(self._loaded(), domid, port)

    def rivals(self) -> dict[str, str]:
        """See the seam."""
        return {"vbd": "the kernel's xen-blkback"} if readiness.blkback_loaded(self._root) else {}

    def readiness(self) -> tuple[Readiness, ...]:
        """See the seam."""
        return readiness.look(self._root, self._paths)

    def _opened(self) -> XenStore:
        if self._store is None:
            raise HostError("the Xen host is not open", errno=errno.EBADF)
        return self._store

    def _loaded(self) -> XenLibs:
        self._opened()
        assert self._libs is not None
        return self._libs


def _may_list(store: XenStore) -> bool:
    try:
        store.list(_DOMAINS)
    except HostError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return False
        raise
    return True


def _readable(store: XenStore, domid: int, key: str) -> str:
    """A domain's key; empty when it is missing or none of our business."""
    try:
        return store.read(f"{_DOMAINS}/{domid}/{key}") or ""
    except HostError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return ""
        raise
