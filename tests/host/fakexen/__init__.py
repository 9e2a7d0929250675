# SPDX-License-Identifier: MIT
"""A Xen to run against where there is none: the three libraries in one, compiled at first use, and the guest's side."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from cffi import FFI

from usblkback_tui.engine.host.xen import XenHost
from usblkback_tui.engine.host.xen.libs import EVTCHN, GNTTAB, STORE, TOOLLOG

_SOURCE = Path(__file__).with_name("fakexen.c")

_ffi = FFI()
_ffi.cdef(
    """
    void fake_reset(int domid);
    void fake_fault(const char *function, int error, int times);
    void fake_release(void);
    void fake_collide(int times);
    void fake_write(const char *path, const char *value, unsigned int len);
    void fake_perms(const char *path, char *out, unsigned int size);
    void fake_event(const char *path, const char *token);
    void fake_grant(unsigned int ref, unsigned int domid, bool writable);
    void fake_offer(int port, unsigned int domid);
    int fake_count(const char *what);
    int fake_notified(int port);
    int fake_bound(int port);
    void fake_kick(int port);
    """
)


@functools.cache
def _built(*flags: str) -> Path:
    folder = Path(_keep_folder().name)
    target = folder / f"fakexen{''.join(flags)}.so"
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", "-std=c11", "-O1", "-shared", "-fPIC", *warnings, *flags, "-o", target, _SOURCE], check=True)
    return target


@functools.cache
def _keep_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fakexen-")


class FakeXen:
    """A fresh machine: ``root`` holds its /dev, /proc and /sys, ``host()`` is the code under test on it."""

    def __init__(self, root: Path, *, domid: int = 0, copy: bool = True) -> None:
        """``copy`` False: a libxengnttab from before grant copy."""
        self.library = _built() if copy else _built("-DWITHOUT_COPY")
        self._lib: Any = _ffi.dlopen(str(self.library))
        self._lib.fake_reset(domid)
        self.root = root
        for path, text in {
            "sys/hypervisor/type": "xen\n",
            "sys/hypervisor/version/major": "4\n",
            "sys/hypervisor/version/minor": "17\n",
            "sys/hypervisor/version/extra": ".7\n",
            "sys/module/xen_gntdev/parameters/limit": "65536\n",
            "proc/xen/capabilities": "control_d\n" if domid == 0 else "",
            "dev/xen/evtchn": "",
            "dev/xen/gntdev": "",
            "dev/xen/xenbus": "",
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        self.write(f"/local/domain/{domid}/domid", str(domid))
        self.write(f"/local/domain/{domid}/name", f"Domain-{domid}")

    @property
    def libraries(self) -> dict[str, str]:
        """For ``XenHost(libraries=...)``; no libxentoollog, so its absence is covered all along."""
        return {library.name: str(self.library) for library in (STORE, GNTTAB, EVTCHN)} | {TOOLLOG.name: "/none"}

    def host(self) -> XenHost:
        """Not yet open."""
        return XenHost(self.root, self.libraries)

    def write(self, path: str, value: str | bytes) -> None:
        """Somebody else writes a key."""
        data = value.encode() if isinstance(value, str) else value
        self._lib.fake_write(path.encode(), data, len(data))

    def fault(self, function: str, error: int, times: int = -1) -> None:
        """Make a function fail with an errno."""
        self._lib.fake_fault(function.encode(), error, times)

    def hang(self, function: str) -> None:
        """Make a function hang, like a store that never answers, until :meth:`release`."""
        self._lib.fake_fault(function.encode(), 0, 1)

    def release(self) -> None:
        """End a :meth:`hang`: the call then does what it should."""
        self._lib.fake_release()

    def collide(self, times: int) -> None:
        """Let the next transactions collide."""
        self._lib.fake_collide(times)

    def event(self, path: str, serial: str) -> None:
        """Queue a watch event as it is on the wire."""
        self._lib.fake_event(path.encode(), serial.encode())

    def perms(self, path: str) -> str:
        """``n0 r5``"""
        out = _ffi.new("char[128]")
        self._lib.fake_perms(path.encode(), out, 128)
        return bytes(_ffi.string(out)).decode()

    def grant(self, ref: int, domid: int, *, writable: bool = True) -> None:
        """A guest grants a page."""
        self._lib.fake_grant(ref, domid, writable)

    def offer(self, port: int, domid: int) -> None:
        """A guest offers an event channel."""
        self._lib.fake_offer(port, domid)

    def kick(self, port: int) -> None:
        """The guest notifies."""
        self._lib.fake_kick(port)

    def bound(self, port: int) -> bool:
        """Whether somebody has the guest's port."""
        return bool(self._lib.fake_bound(port))

    def notified(self, port: int) -> int:
        """How often the guest was notified."""
        return int(self._lib.fake_notified(port))

    def count(self, what: str) -> int:
        """Live ``transactions``, ``watches``, ``connections``, ``mapped`` pages, ``gnttabs`` or ``evtchns``."""
        return int(self._lib.fake_count(what.encode()))

    def open_handles(self) -> int:
        """Whatever is still open."""
        return sum(map(self.count, ("transactions", "watches", "connections", "mapped", "gnttabs", "evtchns")))
