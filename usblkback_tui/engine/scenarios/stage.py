# SPDX-License-Identifier: MIT
"""Where a failure is played: an engine on the embedded host, and hands for its guests, toolstack and images."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.seam import Change, Put, Remove
from usblkback_tui.engine.host.sim.domains import SimDomain
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.engine.host.sim.machine import SimGuest
from usblkback_tui.engine.scenarios.handmade import HandmadeFrontend
from usblkback_tui.engine.settings import DiskOptions, GuestSettings
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import backend_path, frontend_path
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.vdev import parse_vdev

_Domain = TypeVar("_Domain", SimGuest, SimDomain)

MIB = 1 << 20
GUEST, VDEV = "patient", "xvdb"
"""The domain and the disk that have the failure."""
PATIENCE = 60.0
"""Seconds that a step of a scenario may take on a busy machine."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario's play is given."""

    engine: Engine
    host: SimHost
    folder: Path

    # guests -----------------------------------------------------------------------------------------------------

    def linux(self, load: Load | None = None, *, closing: str = "dead") -> SimGuest:
        """A running Linux; it makes load on every disk it gets."""
        guest = self.host.add_guest(GuestSettings(GUEST), GuestOptions(closing=closing))
        guest.set_load(load or Load(depth=8, read_percent=50, span_bytes=4 * MIB, rate=2000))
        return self._known(guest)

    def bare(self) -> SimDomain:
        """A domain without a driver."""
        return self._known(self.host.hypervisor.create(GUEST))

    def _known(self, domain: _Domain) -> _Domain:
        wait(lambda: any(one.domid == domain.domid for one in self.engine.snapshot().domains))
        return domain

    def handmade(self, vdev: str = VDEV, options: DiskOptions | None = None) -> HandmadeFrontend:
        """A domain without a driver whose disk we offer; its frontend is for the scenario to play."""
        domain = self.bare()
        self.attach(vdev, options=options)
        self.wait_backend(S.INIT_WAIT, vdev)
        return HandmadeFrontend(self.host.hypervisor, domain, parse_vdev(vdev).number)

    def connected_by_hand(self) -> HandmadeFrontend:
        """The same with a ring that is served."""
        frontend = self.handmade()
        frontend.write(frontend.grant_ring(), state=3)
        self.wait_backend(S.CONNECTED)
        frontend.write({}, state=4)
        wait(lambda: (disk := self.disk()) is not None and disk.frontend_state is S.CONNECTED)
        return frontend

    # disks ------------------------------------------------------------------------------------------------------

    def image(self, name: str = "patient.img", size: int = 16 * MIB) -> Path:
        """A sparse file of zeros."""
        path = self.folder / name
        with path.open("wb") as file:
            file.truncate(size)
        return path

    def attach(self, vdev: str = VDEV, image: Path | None = None, options: DiskOptions | None = None) -> DiskView:
        """Attach as an operator does."""
        request = AttachRequest(GUEST, str(image or self.image()), vdev, options=options or DiskOptions())
        return self.engine.attach(request)

    def detach(self) -> None:
        """Begin to detach; the guest may not let go."""
        with contextlib.suppress(UserError):
            self.engine.detach(GUEST, VDEV, wait=0.0)

    def disk(self, vdev: str = VDEV) -> DiskView | None:
        """The disk as the engine sees it now."""
        disks = self.engine.snapshot().disks
        return next((disk for disk in disks if (disk.domain, disk.vdev) == (GUEST, vdev)), None)

    def wait_backend(self, state: S, vdev: str = VDEV) -> None:
        """Until our end says ``state``."""
        wait(lambda: (disk := self.disk(vdev)) is not None and disk.backend_state is state)

    def wait_connected(self) -> None:
        """Until both ends are Connected."""
        wait(lambda: (disk := self.disk()) is not None and disk.frontend_state is disk.backend_state is S.CONNECTED)

    # the toolstack ----------------------------------------------------------------------------------------------

    def toolstack(self, *changes: Change) -> None:
        """Write to the store as domain 0."""
        store = self.host.hypervisor.store.connect(0, lambda path, token: None)
        try:
            store.commit(changes)
        finally:
            store.close()

    def vbd(
        self,
        kind: str,
        domid: int,
        back: dict[str, str],
        front: dict[str, str],
        *,
        devid: int = 51728,
        readers: bool = True,
    ) -> str:
        """Both directories as a toolstack writes them, with changes; the backend's path."""
        ours, theirs = backend_path(0, kind, domid, devid), frontend_path(domid, devid)
        back_keys = {
            "frontend": theirs,
            "frontend-id": str(domid),
            "params": "/dev/vg/patient",
            "online": "1",
            "mode": "w",
            "device-type": "disk",
            "state": "1",
        } | back
        front_keys = {"backend": ours, "backend-id": "0", "virtual-device": str(devid), "state": "1"} | front
        self.toolstack(
            Put(ours, "", owner=0, readers=(domid,) if readers else ()),
            *(Put(f"{ours}/{key}", value) for key, value in back_keys.items()),
            Put(theirs, "", owner=domid, readers=(0,)),
            *(Put(f"{theirs}/{key}", value) for key, value in front_keys.items()),
        )
        return ours

    def remove(self, path: str) -> None:
        """Take a directory away."""
        self.toolstack(Remove(path))


def wait(condition: Callable[[], object]) -> None:
    """Until it holds.  Raises UserError when it does not."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise UserError("the scenario does not get on", fix="try again when the machine is less busy")
        time.sleep(0.01)
