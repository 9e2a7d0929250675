# SPDX-License-Identifier: MIT
"""A hypervisor, a host on it, an image, guests and their backends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.sim.drive import Attach, MakeGuest
from tests.host.sim.oracle import Features, Oracle
from usblkback_tui.engine.host.sim import GuestOptions, Hypervisor, Load, SimGuest, SimHost
from usblkback_tui.engine.settings import GuestSettings


@pytest.fixture
def hypervisor() -> Iterator[Hypervisor]:
    hypervisor = Hypervisor()
    yield hypervisor
    hypervisor.close()


@pytest.fixture
def host(hypervisor: Hypervisor) -> Iterator[SimHost]:
    host = SimHost(hypervisor)
    host.open()
    yield host
    host.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 << 20))
    return path


@pytest.fixture
def make(host: SimHost) -> Iterator[MakeGuest]:
    """Guests with a load that starts by itself."""
    guests: list[SimGuest] = []

    def guest(load: Load | None = None, **options: object) -> SimGuest:
        made = host.add_guest(GuestSettings(f"guest{len(guests)}"), GuestOptions(**options))  # type: ignore[arg-type]
        guests.append(made)
        made.set_load(load or Load(flush_every=50))
        return made

    yield guest
    for made in guests:
        made.close()


@pytest.fixture
def attach(host: SimHost, image: Path) -> Iterator[Attach]:
    oracles: list[Oracle] = []

    def oracle(guest: SimGuest, features: Features | None = None) -> Oracle:
        made = Oracle(host, guest.domid, image, features=features)
        oracles.append(made)
        return made

    yield oracle
    for made in oracles:
        made.close()
