# SPDX-License-Identifier: MIT
"""A guest from outside: its domain, its process, its console and its disks' notebooks."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

import usblkback_tui
from usblkback_tui.engine.host.seam import HostError
from usblkback_tui.engine.host.sim import wire
from usblkback_tui.engine.host.sim.domains import GRANT_PAGES, SimDomain
from usblkback_tui.engine.host.sim.hypervisor import Hypervisor
from usblkback_tui.engine.host.sim.load import DiskReport, GuestOptions, Load, Report
from usblkback_tui.engine.host.sim.report import BOOK_BYTES, NOTEBOOK_BYTES, read_book
from usblkback_tui.engine.host.sim.service import GuestService
from usblkback_tui.engine.settings import GuestSettings
from usblkback_tui.protocol.states import XenbusState
from usblkback_tui.protocol.vdev import parse_vdev, vdev_name

CONSOLE_LINES = 500
_ROOT = str(Path(usblkback_tui.__file__).resolve().parents[1])


class SimGuest:
    """One guest over all its lives.  Its methods may be called from any thread but the hypervisor's."""

    def __init__(self, hypervisor: Hypervisor, settings: GuestSettings, options: GuestOptions) -> None:
        self.name = settings.name
        self.settings = settings
        self.options = options
        self.console: deque[str] = deque(maxlen=CONSOLE_LINES)
        self._hypervisor = hypervisor
        self._lock = threading.RLock()
        self._loads: dict[str, Load] = {"*": Load.of(settings)}
        self._books: dict[int, tuple[int, mmap.mmap]] = {}
        self._closed = False
        self._domain: SimDomain
        self._process: subprocess.Popen[bytes]
        self._service: GuestService
        self._boot("")
        hypervisor.at_close(self.close)

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def domid(self) -> int:
        """Another one after each reboot."""
        return self._domain.domid

    @property
    def vm(self) -> str:
        """``/vm/<uuid>``, the same over reboots."""
        return self._domain.vm

    @property
    def alive(self) -> bool:
        return self._domain.alive and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def mapped(self) -> int:
        """Pages of its current domain that a backend has mapped now."""
        return self._domain.mapped

    def state(self, vdev: str) -> XenbusState:
        """What the frontend of a disk says; UNKNOWN when there is no such disk."""
        path = f"/local/domain/{self.domid}/device/vbd/{parse_vdev(vdev).number}/state"
        return XenbusState.parse(self._hypervisor.store.dump(path).get(path))

    def wait_state(self, vdev: str, state: XenbusState = XenbusState.CONNECTED, timeout: float = 10.0) -> None:
        """Until the frontend says ``state``.  Raises HostError."""
        deadline = time.monotonic() + timeout
        while self.state(vdev) is not state:
            if time.monotonic() > deadline or not self.alive:
                found = self.state(vdev).word
                raise HostError(f"{vdev} of {self.name} is {found}, not {state.word}, after {timeout:g} seconds")
            time.sleep(0.002)

    # Load ------------------------------------------------------------------------------------------------------------

    def stats(self) -> Report:
        """Counters of all disks it ever had, read without asking the guest."""
        with self._lock:
            return Report(tuple(read_book(vdev_name(devid), book) for devid, (_, book) in sorted(self._books.items())))

    def disk(self, vdev: str) -> DiskReport:
        """Counters of one disk; zeros while it was never connected."""
        return next((disk for disk in self.stats().disks if disk.vdev == vdev), DiskReport(vdev))

    def set_load(self, load: Load, vdev: str | None = None) -> None:
        """The load of one disk or all, from its next start on."""
        with self._lock:
            self._loads = self._loads | {vdev: load} if vdev else {"*": load}
        self._order("load", vdev=vdev, load=asdict(load))

    def start_load(self, vdev: str | None = None) -> None:
        """Make load on what is connected now and on what will be."""
        self._order("start", vdev=vdev)

    def stop_load(self, vdev: str | None = None, timeout: float = 10.0) -> None:
        """Make no more requests and wait until all are answered.  Raises HostError."""
        self._order("stop", vdev=vdev, timeout=timeout)

    def verify(self, vdev: str | None = None, timeout: float = 120.0) -> Report:
        """Stop the load, read back every block ever written and compare it.  Raises HostError."""
        self.stop_load(vdev, timeout)
        before = self.stats()
        self._order("verify", vdev=vdev, timeout=timeout)
        after = self.stats()
        compared = after.verified + after.mismatches - before.verified - before.mismatches
        return Report(after.disks, read_back=compared)

    # Life ------------------------------------------------------------------------------------------------------------

    def shutdown(self, timeout: float = 5.0) -> None:
        """Stop the load, close every disk as an orderly guest does, then end the domain."""
        self._leave(timeout)
        self.destroy()

    def reboot(self, *, clean: bool = True, timeout: float = 5.0) -> None:
        """A new life under a new domid.  Not ``clean`` is a reset: nothing is closed."""
        if clean:
            self._leave(timeout)
        vm = self.vm
        self._end(reboot=True)
        self._boot(vm)

    def restart_driver(self, vdev: str | None = None, *, clean: bool = True, timeout: float = 10.0) -> None:
        """The domain lives on and its driver starts anew: kexec, a boot loader's successor, a device disabled and
        enabled.  Not ``clean``: nothing is closed first, as by kdump or a reset.  Raises HostError."""
        if clean:
            self._order("leave", vdev=vdev, timeout=timeout)
            deadline = time.monotonic() + timeout
            while self._handed_on() and time.monotonic() < deadline:  # whoever boots takes longer than a backend
                time.sleep(0.002)
        self._order("restart", vdev=vdev, timeout=timeout)

    def crash(self) -> None:
        """The guest dies in mid-instruction; then the toolstack destroys the domain, as with ``on_crash=destroy``."""
        self._process.kill()
        self._process.wait()
        self.destroy()

    def destroy(self) -> None:
        """``xl destroy``; idempotent."""
        self._end(reboot=False)

    def close(self) -> None:
        """Destroy it and forget its notebooks; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.destroy()
        with self._lock:
            for fd, book in self._books.values():
                book.close()
                os.close(fd)
            self._books.clear()

    def __enter__(self) -> SimGuest:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()

    def _handed_on(self) -> bool:
        """A driver has left a device as new, and its backend has not seen it yet."""
        store, vbds = self._hypervisor.store, f"/local/domain/{self.domid}/device/vbd"
        keys = store.dump(vbds)
        backends = [
            keys.get(key.removesuffix("state") + "backend")
            for key, value in keys.items()
            if key.endswith("/state") and value == "1"
        ]
        return any(store.dump(f"{path}/state").get(f"{path}/state") == "6" for path in backends if path)

    # Inside ----------------------------------------------------------------------------------------------------------

    def _boot(self, vm: str) -> None:
        self._domain = self._hypervisor.create(self.name, vm=vm, memory_mib=self.options.memory_mib)
        ours, theirs = wire.pair()
        # In the hypervisor's thread: a guest dies with the thread that made it.
        self._process = self._hypervisor.call(lambda: _spawn(theirs.fileno()))
        theirs.close()
        self._service = GuestService(
            self._hypervisor, self._domain, ours, self._notebook, self.console.append, self._gone
        )
        boot: dict[str, Any] = {
            "pages": self._domain.pages,
            "grant_pages": GRANT_PAGES,
            "options": asdict(self.options),
            "loads": {vdev: asdict(load) for vdev, load in self._loads.items()},
        }
        self._service.start({"boot": boot}, (self._domain.memory,))

    def _gone(self, domain: SimDomain) -> None:
        """In the hypervisor's thread: the process ended by itself."""
        self._hypervisor.destroy(domain.domid)

    def _leave(self, timeout: float) -> None:
        try:
            self._order("shutdown", timeout=timeout)
        except HostError as error:
            self.console.append(f"xenbus: timeout closing devices: {error}")

    def _end(self, *, reboot: bool) -> None:
        self._service.close()
        self._process.kill()
        self._process.wait()
        self._hypervisor.destroy(self.domid, reboot=reboot)

    def _order(self, what: str, *, timeout: float = 10.0, **args: Any) -> Any:
        return self._service.order(what, args, timeout)

    def _notebook(self, devid: int) -> int:
        with self._lock:
            if self._closed:
                raise HostError(f"guest {self.name} is closed", errno=19)
            if devid not in self._books:
                fd = os.memfd_create(f"notebook-{self.name}-{devid}", os.MFD_CLOEXEC)
                os.ftruncate(fd, NOTEBOOK_BYTES)
                self._books[devid] = fd, mmap.mmap(fd, BOOK_BYTES)
            return self._books[devid][0]


def _spawn(wire_fd: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH", ""))))
    return subprocess.Popen(
        [sys.executable, "-m", "usblkback_tui.engine.host.sim.guest", str(wire_fd), str(os.getpid())],
        pass_fds=(wire_fd,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path},
    )
