# SPDX-License-Identifier: MIT
"""An engine on the embedded host, with guests to play against it and a way to see what was left behind."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.seam import Put
from usblkback_tui.engine.host.sim.domains import SimDomain
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.engine.host.sim.machine import SimGuest
from usblkback_tui.engine.settings import DiskSettings, EngineSettings, GuestSettings, Settings
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.protocol.states import XenbusState as S

MIB = 1 << 20


def wait_for(condition: Callable[[], object], seconds: float = 90.0) -> None:
    """Until the condition holds; AssertionError otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@dataclass
class Rig:
    """One engine, one embedded host, a folder for images."""

    engine: Engine
    host: SimHost
    folder: Path
    guests: list[SimGuest] = field(default_factory=list)

    def guest(self, name: str = "g1", load: Load | None = None, options: GuestOptions | None = None) -> SimGuest:
        """A running Linux; its load starts with :meth:`SimGuest.start_load`."""
        options = options or GuestOptions(autostart=False)
        guest = self.host.add_guest(GuestSettings(name), options)
        guest.set_load(load or Load(depth=8, read_percent=50, span_bytes=4 * MIB))
        self.guests.append(guest)
        wait_for(lambda: any(d.name == name for d in self.engine.snapshot().domains))
        return guest

    def image(self, name: str = "a.img", size: int = 16 * MIB) -> Path:
        """A sparse file of zeros."""
        path = self.folder / name
        with path.open("wb") as file:
            file.truncate(size)
        return path

    def attach(self, domain: str, image: Path, vdev: str, mode: str = "w") -> DiskView:
        """Attach and wait until both ends are Connected."""
        disk = self.engine.attach(AttachRequest(domain, str(image), vdev, mode), wait=10.0)
        assert (disk.frontend_state, disk.backend_state) == (S.CONNECTED, S.CONNECTED), disk.health
        return disk

    def disk(self, domain: str, vdev: str) -> DiskView | None:
        """The disk as the engine sees it now."""
        disks = self.engine.snapshot().disks
        return next((disk for disk in disks if (disk.domain, disk.vdev) == (domain, vdev)), None)

    def store(self, path: str = "/local") -> dict[str, str]:
        """All keys below a path."""
        return self.host.hypervisor.store.dump(path)

    def vbd_keys(self) -> dict[str, str]:
        """Every key of a vbd, at either end, and our error nodes; a guest's own complaints stay its own."""
        ours = re.compile(r"/local/domain/\d+/(error/)?(backend/(usblkback|vbd)|device/vbd)/.*")
        keys = self.store().items()
        return {path: value for path, value in keys if ours.fullmatch(path) and "/error/device/" not in path}

    def texts(self) -> str:
        """The event log as one text."""
        return "\n".join(event.text for event in self.engine.events(0))

    def bare_domain(self, name: str = "evil") -> SimDomain:
        """A domain without a driver, for a test that plays its frontend by hand."""
        domain = self.host.hypervisor.create(name)
        wait_for(lambda: any(d.name == name for d in self.engine.snapshot().domains))
        return domain

    def write(self, domid: int, path: str, **keys: str) -> None:
        """Write keys below a path as domain ``domid``; underscores become dashes, ``state`` goes last."""
        connection = self.host.hypervisor.store.connect(domid, lambda path, token: None)
        try:
            order = sorted(keys, key="state".__eq__)
            connection.commit([Put(f"{path}/{key.replace('_', '-')}", keys[key]) for key in order])
        finally:
            connection.close()


@contextmanager
def rig(
    folder: Path, *, grant_copy: bool = True, disks: tuple[DiskSettings, ...] = (), **engine: object
) -> Iterator[Rig]:
    """A rig whose end proves that nothing is left: no page mapped, no port bound by us, no key of a vbd, no thread."""
    import threading

    before = threading.active_count()
    host = SimHost(grant_copy=grant_copy)
    host.open()
    settings = Settings(engine=replace(EngineSettings(detach_seconds=3.0), **engine), disks=disks)  # type: ignore[arg-type]
    one = Rig(Engine(host, settings), host, folder)
    one.engine.start()
    try:
        yield one
        one.engine.stop(force_after=3.0)
        assert host.hypervisor.mapped == 0, "pages of a guest are still mapped"
        assert [p for p in one.vbd_keys() if "/backend/usblkback/" in p] == []
    finally:
        one.engine.stop(force_after=0.0)
        for guest in one.guests:
            guest.close()
        host.close()
    wait_for(lambda: threading.active_count() <= before, 5.0)
