# SPDX-License-Identifier: MIT
"""A model of the kernel's xen-blkback for the embedded host: a backend that we only watch, with its statistics files.

It serves vbds of kind ``vbd`` with an engine of its own in this process, writes what a toolstack and a hotplug script
write for the kernel's backend, and keeps ``vbd-D-N/statistics`` as the kernel shows it in sysfs.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from pathlib import Path

from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.seam import HostError, Put
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.host.sim.hypervisor import Hypervisor
from usblkback_tui.engine.settings import EngineSettings, Settings
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.protocol.blkif import SECTOR
from usblkback_tui.protocol.keys import backend_path

KIND = "vbd"
_SECONDS = 0.5
"""How often the statistics are written; who reads them looks once a second."""


class KernelBackend:
    """One per hypervisor.  ``folder`` becomes what /sys/bus/xen-backend/devices is on Linux."""

    def __init__(self, hypervisor: Hypervisor, folder: Path) -> None:
        self.folder = folder
        self._host = SimHost(hypervisor)
        self._engine = Engine(self._host, Settings(engine=EngineSettings(kinds=(KIND,), detach_seconds=3.0)))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kernel-statistics", daemon=True)

    def start(self) -> None:
        """Begin to serve.  Raises HostError and UserError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._host.open()
        self._engine.start()
        self._thread.start()

    def attach(self, domain: str, image: str, vdev: str, mode: str = "w") -> DiskView:
        """What ``xl block-attach`` does for a ``phy`` disk.  Raises UserError."""
        disk = self._engine.attach(AttachRequest(domain, image, vdev, mode))
        path = backend_path(0, KIND, disk.domid, disk.devid)
        toolstack = self._host.hypervisor.store.connect(0, lambda path, token: None)
        try:
            toolstack.commit([Put(f"{path}/type", "phy"), Put(f"{path}/physical-device", "7:0")])
        finally:
            toolstack.close()
        return disk

    def disks(self) -> tuple[DiskView, ...]:
        """What it serves."""
        return self._engine.snapshot().disks

    def stop(self, force_after: float = 1.0) -> None:
        """Take every disk away; idempotent."""
        if self._thread.is_alive():
            self._ending.set()
            self._thread.join(5.0)
        self._engine.stop(force_after=force_after)
        self._host.close()

    def _run(self) -> None:
        shown: set[Path] = set()
        while True:
            now = {self.folder / f"vbd-{disk.domid}-{disk.devid}": disk for disk in self.disks()}
            for gone in shown - now.keys():
                shutil.rmtree(gone, ignore_errors=True)
            shown = set(now)
            with contextlib.suppress(OSError, HostError):
                for folder, disk in now.items():
                    _show(folder / "statistics", disk)
            if self._ending.wait(_SECONDS):
                return


def _show(folder: Path, disk: DiskView) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    c = disk.counters
    for name, value in {
        "rd_req": c.reads,
        "wr_req": c.writes,
        "f_req": c.flushes,
        "ds_req": c.discards,
        "rd_sect": c.bytes_read // SECTOR,
        "wr_sect": c.bytes_written // SECTOR,
        "oo_req": 0,
    }.items():
        fresh = folder / f".{name}"
        fresh.write_text(f"{value}\n")
        fresh.rename(folder / name)  # whoever reads it finds a whole number
