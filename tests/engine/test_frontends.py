# SPDX-License-Identifier: MIT
"""Every frontend model in a guest of its own against the engine: it connects, its data is right, it comes back."""

from pathlib import Path

import pytest

from tests.engine.rig import MIB, Rig, rig, wait_for
from usblkback_tui.cli import parser
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.host.seam import HostError
from usblkback_tui.engine.host.sim.guest.frontends import FRONTENDS as MODELS
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.engine.host.sim.machine import SimGuest
from usblkback_tui.engine.settings import FRONTENDS, DiskOptions
from usblkback_tui.protocol.states import XenbusState as S

LOAD = Load(depth=8, read_percent=50, span_bytes=4 * MIB, block_bytes=32768, flush_every=20, discard_every=30)
NEVER_CONNECTED = {"grub"}
"""Frontends whose state stays Initialised."""
STAY_AWAY = {"freebsd", "netbsd", "illumos"}
"""Frontends that connect to a new device only."""
DIRTY = ("linux", "winvbd")
"""Frontends that take over what another left in the middle of things."""


def kinds(frontend: str) -> tuple[str, ...]:
    return ("vbd",) if frontend == "illumos" else ("usblkback", "vbd")


def connected(r: Rig, guest: SimGuest, frontend: str) -> bool:
    disk = r.disk("g1", "xvda")
    there = S.INITIALISED if frontend in NEVER_CONNECTED else S.CONNECTED
    return disk is not None and disk.backend_state is S.CONNECTED and guest.state("xvda") is there and disk.rings != ()


def closes(r: Rig) -> int:
    """How often the backend was Closed."""
    disk = r.disk("g1", "xvda")
    assert disk is not None
    return sum(change.end == "backend" and change.new is S.CLOSED for change in disk.transitions)


def start(r: Rig, frontend: str, **options: object) -> SimGuest:
    guest = r.guest(load=LOAD, options=GuestOptions(autostart=False, frontend=frontend, **options))  # type: ignore[arg-type]
    r.engine.attach(AttachRequest("g1", str(r.image()), "xvda"))
    wait_for(lambda: connected(r, guest, frontend))
    return guest


def works(guest: SimGuest) -> None:
    """It makes load, and all that was ever written is still there."""
    done = guest.stats().writes
    guest.start_load()
    wait_for(lambda: guest.stats().writes > done + 50)
    report = guest.verify()
    assert report.ok, list(guest.console)
    assert report.read_back > 0
    assert not any("still in use" in line for line in guest.console), list(guest.console)


def test_every_model_has_its_name() -> None:
    assert tuple(MODELS) == FRONTENDS == parser.FRONTENDS


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("grant_copy", [True, False], ids=["copy", "map"])
def test_it_connects_works_leaves_and_comes_back(tmp_path: Path, frontend: str, grant_copy: bool) -> None:
    with rig(tmp_path, grant_copy=grant_copy, kinds=kinds(frontend)) as r:
        guest = start(r, frontend)
        works(guest)
        guest.restart_driver("xvda")
        if frontend in STAY_AWAY:
            wait_for(lambda: guest.state("xvda") is S.CLOSED)
            wait_for(lambda: r.disk("g1", "xvda").backend_state is S.CLOSED)  # type: ignore[union-attr]
        else:
            wait_for(lambda: connected(r, guest, frontend))
            works(guest)
        guest.shutdown()
        wait_for(lambda: r.engine.snapshot().disks == ())
        assert r.host.hypervisor.mapped == 0


def test_illumos_finds_no_disk_of_another_kind(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest(options=GuestOptions(autostart=False, frontend="illumos"))
        r.engine.attach(AttachRequest("g1", str(r.image()), "xvda"))
        wait_for(lambda: guest.state("xvda") is S.INITIALISED)
        wait_for(lambda: (d := r.disk("g1", "xvda")) is not None and d.backend_state is S.CONNECTED)
        guest.start_load()
        with pytest.raises(HostError, match="cannot read back"):
            guest.verify()  # it never saw that we are Connected


@pytest.mark.parametrize("frontend", ["winvbd", "uboot"])
def test_sectors_of_4096_bytes_are_counted_in_other_units(tmp_path: Path, frontend: str) -> None:
    """Why the engine offers them only on request, and warns: the protocol counts 512 bytes, these do not."""
    with rig(tmp_path) as r:
        guest = r.guest(load=LOAD, options=GuestOptions(autostart=False, frontend=frontend))
        r.engine.attach(AttachRequest("g1", str(r.image()), "xvda", options=DiskOptions(sector_size=4096)))
        wait_for(lambda: connected(r, guest, frontend))
        assert "Windows frontends" in r.texts()
        guest.start_load()
        wait_for(lambda: guest.stats().errors + guest.stats().mismatches > 0)
        assert not guest.verify().ok


@pytest.mark.parametrize("frontend", DIRTY)
def test_it_takes_over_from_a_driver_that_closed_nothing(tmp_path: Path, frontend: str) -> None:
    with rig(tmp_path) as r:
        guest = start(r, frontend)
        works(guest)
        for _ in range(3):
            guest.start_load()
            before = closes(r)
            guest.restart_driver("xvda", clean=False)
            wait_for(lambda before=before: closes(r) > before and connected(r, guest, frontend))  # type: ignore[misc]
        guest.stop_load()
        assert guest.verify().ok
