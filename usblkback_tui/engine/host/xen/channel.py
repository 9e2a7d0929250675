# SPDX-License-Identifier: MIT
"""A guest's event channel through libxenevtchn; one handle each, so that an event wakes its own ring and no other."""

from __future__ import annotations

import errno
import os

from usblkback_tui.engine.host.seam import ChannelOps, HostError
from usblkback_tui.engine.host.xen.libs import XenLibs


class XenChannel:
    """A bound interdomain event channel."""

    def __init__(self, libs: XenLibs, domid: int, port: int) -> None:
        """Bind ``domid``'s ``port``.  Raises HostError."""
        self._libs, ffi, lib = libs, libs.ffi, libs.evtchn
        what = f"event channel {port} of domain {domid}"
        if not 0 < port < 1 << 31:
            raise HostError(f"{what} is no port", errno=errno.EINVAL)
        self._handle = lib.xenevtchn_open(libs.logger, 0)
        if not self._handle:
            raise _error(f"{what} cannot be reached", ffi.errno)
        self._port = lib.xenevtchn_bind_interdomain(self._handle, domid, port)
        if self._port < 0:
            number = ffi.errno
            lib.xenevtchn_close(self._handle)
            self._handle = None
            raise _error(f"{what} cannot be bound", number)
        fd = lib.xenevtchn_fd(self._handle)
        os.set_blocking(fd, False)  # xenevtchn_pending then says EAGAIN when a wake-up was for nothing
        self.ops = ChannelOps(
            handle=int(ffi.cast("uintptr_t", self._handle)),
            fd=fd,
            port=self._port,
            pending=libs.address(lib, "xenevtchn_pending"),
            unmask=libs.address(lib, "xenevtchn_unmask"),
            notify=libs.address(lib, "xenevtchn_notify"),
        )

    def close(self) -> None:
        """See the seam."""
        handle, self._handle = self._handle, None
        if handle:
            self._libs.evtchn.xenevtchn_unbind(handle, self._port)
            self._libs.evtchn.xenevtchn_close(handle)


def _error(problem: str, number: int) -> HostError:
    fix = {
        errno.EACCES: "run as root",
        errno.EPERM: "run as root",
        errno.ENOENT: "load the kernel module: modprobe xen-evtchn",
        errno.EINVAL: "another backend has bound it already, or the guest offers it to another domain",
        errno.ESRCH: "the domain is gone",
        errno.ENOSPC: "this domain has no event channel left: raise max_event_channels",
    }.get(number, "")
    return HostError(f"{problem}: {os.strerror(number)}", fix=fix, errno=number)
