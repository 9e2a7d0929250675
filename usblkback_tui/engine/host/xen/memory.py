# SPDX-License-Identifier: MIT
"""A guest's granted pages through libxengnttab."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Sequence

from usblkback_tui.engine.host.seam import GrantOps, HostError
from usblkback_tui.engine.host.xen.libs import XenLibs


class XenGrants:
    """One handle on /dev/xen/gntdev, for one domain and used by one thread at a time."""

    def __init__(self, libs: XenLibs, domid: int, copy: bool) -> None:
        """Open the handle; ``copy`` says whether the host can copy.  Raises HostError."""
        self._libs, self._domid = libs, domid
        lib = libs.gnttab
        self._handle = lib.xengnttab_open(libs.logger, 0)
        if not self._handle:
            raise _error(f"grants of domain {domid} cannot be reached", libs.ffi.errno)
        self.ops = GrantOps(
            handle=int(libs.ffi.cast("uintptr_t", self._handle)),
            map=libs.address(lib, "xengnttab_map_domain_grant_refs"),
            unmap=libs.address(lib, "xengnttab_unmap"),
            copy=libs.address(lib, "xengnttab_grant_copy") if copy else 0,
        )

    def map(self, refs: Sequence[int], *, writable: bool) -> int:
        """See the seam."""
        ffi = self._libs.ffi
        if not refs or any(not 0 <= ref < 1 << 32 for ref in refs):
            raise HostError(
                f"grant {_words(refs)} of domain {self._domid} is no list of references", errno=errno.EINVAL
            )
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        address = self._libs.gnttab.xengnttab_map_domain_grant_refs(
            self._open(), len(refs), self._domid, ffi.new("uint32_t[]", list(refs)), prot
        )
        if not address:
            raise _error(f"grant {_words(refs)} of domain {self._domid} cannot be mapped", ffi.errno)
        return int(ffi.cast("uintptr_t", address))

    def unmap(self, address: int, count: int) -> None:
        """See the seam."""
        ffi = self._libs.ffi
        if self._libs.gnttab.xengnttab_unmap(self._open(), ffi.cast("void *", address), count):
            raise _error(f"{count} pages of domain {self._domid} at {address:#x} cannot be unmapped", ffi.errno)

    def close(self) -> None:
        """See the seam."""
        handle, self._handle = self._handle, None
        if handle:
            self._libs.gnttab.xengnttab_close(handle)

    def _open(self) -> object:
        if not self._handle:
            raise HostError(f"the grant handle of domain {self._domid} is closed", errno=errno.EBADF)
        return self._handle


def can_copy(libs: XenLibs) -> bool:
    """Whether this library and this kernel copy grants, found out by copying nothing.  Raises HostError."""
    if not libs.has(libs.gnttab, "xengnttab_grant_copy"):
        return False
    grants = XenGrants(libs, 0, copy=False)
    try:
        return int(libs.gnttab.xengnttab_grant_copy(grants._open(), 0, libs.ffi.NULL)) == 0
    finally:
        grants.close()


def _words(refs: Sequence[int]) -> str:
    shown = " ".join(map(str, refs[:8]))
    return f"{shown} ... ({len(refs)} in all)" if len(refs) > 8 else shown or "()"


def _error(problem: str, number: int) -> HostError:
    fix = {
        errno.EACCES: "run as root",
        errno.EPERM: "run as root",
        errno.ENOENT: "load the kernel module: modprobe xen-gntdev",
        errno.EINVAL: "the guest took the grant back, never gave it, or gave it for reading only",
        errno.ENOMEM: "raise gntdev's limit (/sys/module/xen_gntdev/parameters/limit), or lower persistent_pages",
        errno.ENOSPC: "raise Xen's gnttab_max_maptrack_frames",
    }.get(number, "")
    return HostError(f"{problem}: {os.strerror(number)}", fix=fix, errno=number)
