# SPDX-License-Identifier: MIT
"""The seam's grants over the simulated hypervisor."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from usblkback_tui.engine.host.seam import GrantOps, HostError
from usblkback_tui.engine.host.sim._sim import ffi, lib

PROT_READ, PROT_WRITE = 1, 2
_STATUS = {
    lib.GNTST_general_error: "GNTST_general_error: not granted to us, or read-only",
    lib.GNTST_bad_domain: "GNTST_bad_domain: no such domain",
    lib.GNTST_bad_gntref: "GNTST_bad_gntref: beyond the grant table",
    lib.GNTST_bad_page: "GNTST_bad_page: a frame the domain does not have",
}


def address_of(function: str) -> int:
    """Where a C function of the extension is."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, function)))


class SimGrants:
    """A handle on one domain's grants."""

    def __init__(self, handle: Any, domid: int) -> None:
        self._handle = handle
        self._domid = domid
        self.ops = GrantOps(
            handle=int(ffi.cast("uintptr_t", handle)),
            map=address_of("sim_grants_map"),
            unmap=address_of("sim_grants_unmap"),
            copy=address_of("sim_grants_copy"),
        )

    def map(self, refs: Sequence[int], *, writable: bool) -> int:
        """See the seam."""
        if self._handle is None:
            raise HostError(f"the grant handle of domain {self._domid} is closed", errno=errno.EBADF)
        array = ffi.new("uint32_t[]", list(refs))
        prot = PROT_READ | (PROT_WRITE if writable else 0)
        start = lib.sim_grants_map(self._handle, len(refs), self._domid, array, prot)
        if start == ffi.NULL:
            ref = ffi.new("uint32_t *")
            status = lib.sim_grants_status(self._handle, ref)
            why = f"grant {ref[0]} ({_STATUS.get(status, status)})" if status else f"{len(refs)} pages (no memory)"
            how = "for writing" if writable else "for reading"
            raise HostError(f"cannot map {why} of domain {self._domid} {how}", errno=errno.EINVAL)
        return int(ffi.cast("uintptr_t", start))

    def unmap(self, address: int, count: int) -> None:
        """See the seam."""
        if self._handle is None or lib.sim_grants_unmap(self._handle, ffi.cast("void *", address), count):
            raise HostError(f"{count} pages at {address:#x} were not mapped together", errno=errno.EINVAL)

    def close(self) -> None:
        """See the seam."""
        if self._handle is not None:
            lib.sim_grants_close(self._handle)
            self._handle = None
