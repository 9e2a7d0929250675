# SPDX-License-Identifier: MIT
"""A guest's event channel through libxenevtchn; one handle each, so that an event wakes its own ring and no other."""

from __future__ import annotations

import errno
import os

from usblkback_tui.engine.host.seam import ChannelOps, HostError
from usblkback_tui.engine.host.xen.libs import XenLibs

DOMID_SELF = 0x7FF0
"""Our own domain, whatever its number (xen/include/public/xen.h)."""


class XenChannel:
    """A bound interdomain event channel.

    Its ring's thread sleeps in read(2) on the handle, which saves it a poll(2) for each event.  What other threads want
    of it comes through a second channel that begins and ends in our own domain, so that it ends the same read.
    """

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
        self._loop = self._bind_loop()
        if not self._loop:
            os.set_blocking(fd, False)  # xenevtchn_pending then says EAGAIN when a wake-up was for nothing
        self.ops = ChannelOps(
            handle=int(ffi.cast("uintptr_t", self._handle)),
            fd=fd,
            port=self._port,
            pending=libs.address(lib, "xenevtchn_pending"),
            unmask=libs.address(lib, "xenevtchn_unmask"),
            notify=libs.address(lib, "xenevtchn_notify"),
            wait=libs.address(lib, "xenevtchn_pending") if self._loop else 0,
            poke_port=self._loop[0] if self._loop else 0,
        )

    def _bind_loop(self) -> tuple[int, ...]:
        """Both ends of a channel to ourselves on our handle, or nothing where the hypervisor has none to give."""
        lib, handle = self._libs.evtchn, self._handle
        near = lib.xenevtchn_bind_unbound_port(handle, DOMID_SELF)
        if near < 0:
            return ()
        far = lib.xenevtchn_bind_interdomain(handle, DOMID_SELF, near)
        if far < 0:
            lib.xenevtchn_unbind(handle, near)
            return ()
        return near, far

    def close(self) -> None:
        """See the seam."""
        handle, self._handle = self._handle, None
        if handle:
            for port in (*self._loop, self._port):
                self._libs.evtchn.xenevtchn_unbind(handle, port)
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
