# SPDX-License-Identifier: MIT
"""Guests that end, crash, reboot and refuse to let go; engines that stop."""

import os
import threading
import time
from pathlib import Path

import pytest

from tests.engine.rig import MIB, rig, wait_for
from usblkback_tui.engine.attaching import attach_commit, removal_commit
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.host.sim.load import GuestOptions
from usblkback_tui.engine.image.raw import RawImage, open_image
from usblkback_tui.engine.settings import DiskSettings, Settings
from usblkback_tui.protocol.backend import BackendIdentity
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState as S


@pytest.mark.parametrize("how", ["destroy", "crash", "shutdown"])
def test_a_guest_that_ends_under_load_leaves_nothing(tmp_path: Path, how: str) -> None:
    with rig(tmp_path) as r:
        guest, other = r.guest(), r.guest("other")
        for vdev in ("xvda", "xvdb"):
            r.attach("g1", r.image(vdev), vdev)
        r.attach("other", r.image("o"), "xvda")
        guest.start_load()
        other.start_load()
        wait_for(lambda: guest.stats().writes > 50)
        getattr(guest, how)()
        wait_for(lambda: [disk.domain for disk in r.engine.snapshot().disks] == ["other"])
        wait_for(lambda: r.host.hypervisor.mapped == other.mapped)
        assert not [path for path in r.vbd_keys() if f"/{guest.domid}/" in path]
        written = other.stats().writes
        wait_for(lambda: other.stats().writes > written + 50)
        assert other.verify().mismatches == 0


@pytest.mark.parametrize("clean", [True, False])
def test_a_rebooted_guest_gets_its_disks_back(tmp_path: Path, clean: bool) -> None:
    with rig(tmp_path) as r:
        guest, image = r.guest(), r.image()
        first = r.attach("g1", image, "xvdb")
        guest.start_load()
        wait_for(lambda: guest.stats().writes > 50)
        guest.stop_load()
        guest.reboot(clean=clean)
        wait_for(lambda: (d := r.disk("g1", "xvdb")) is not None and d.domid != first.domid and d.rings != ())
        guest.wait_state("xvdb")
        guest.start_load()
        written = guest.stats().writes
        wait_for(lambda: guest.stats().writes > written + 50)
        report = guest.verify()
        assert report.errors == report.mismatches == 0
        assert [d.vdev for d in r.engine.snapshot().disks] == ["xvdb"]


def test_a_disk_detached_by_hand_does_not_come_back_with_a_reboot(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest()
        r.attach("g1", r.image(), "xvdb")
        r.engine.detach("g1", "xvdb")
        guest.reboot()
        wait_for(lambda: any(d.domid == guest.domid for d in r.engine.snapshot().domains))
        time.sleep(0.3)
        assert r.engine.snapshot().disks == ()


def test_disks_of_the_config_are_attached_when_their_domain_appears(tmp_path: Path) -> None:
    image = tmp_path / "a.img"
    image.write_bytes(bytes(MIB))
    with rig(tmp_path, disks=(DiskSettings("late", str(image), "xvdc", "r"),)) as r:
        r.guest("early")
        assert r.engine.snapshot().disks == ()
        r.guest("late")
        wait_for(lambda: (d := r.disk("late", "xvdc")) is not None and d.frontend_state is S.CONNECTED)


def test_a_guest_that_does_not_let_go_is_named_and_can_be_forced(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest(options=GuestOptions(autostart=False, closing="busy"))
        r.attach("g1", r.image(), "xvda")
        guest.start_load()
        wait_for(lambda: guest.stats().writes > 20)
        with pytest.raises(UserError, match=r"xvda of g1 is still held by the guest after 0 s; .*force"):
            r.engine.detach("g1", "xvda", wait=0.3)
        disk = r.disk("g1", "xvda")
        assert disk is not None
        assert disk.backend_state is S.CLOSING
        written = disk.counters.writes
        wait_for(lambda: r.engine.snapshot().disks[0].counters.writes > written)  # served until it lets go
        r.engine.detach("g1", "xvda", force=True, wait=0.3)
        assert r.engine.snapshot().disks == ()
        assert r.vbd_keys() == {}
        wait_for(lambda: guest.mapped == 0)


def test_a_guest_that_lets_go_late_needs_no_second_detach(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest(options=GuestOptions(autostart=False, closing="busy"))
        r.attach("g1", r.image(), "xvda")
        guest.start_load()
        wait_for(lambda: guest.stats().writes > 20)
        with pytest.raises(UserError):
            r.engine.detach("g1", "xvda", wait=0.2)
        guest.stop_load()  # the last user lets go, as umount does
        wait_for(lambda: r.engine.snapshot().disks == ())
        assert r.vbd_keys() == {}


def test_a_detach_before_the_guest_ever_connected(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.bare_domain("mute")
        from usblkback_tui.engine.api import AttachRequest

        disk = r.engine.attach(AttachRequest("mute", str(r.image()), "xvda"), wait=0.2)
        assert (disk.frontend_state, disk.backend_state) == (S.INITIALISING, S.INIT_WAIT)
        r.engine.detach("mute", "xvda", wait=2.0)
        assert r.vbd_keys() == {}


def test_stopping_the_engine_detaches_everything_even_what_is_busy(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        calm, busy = r.guest("calm"), r.guest("busy", options=GuestOptions(autostart=False, closing="busy"))
        for name in ("calm", "busy"):
            r.attach(name, r.image(name), "xvda")
        busy.start_load()
        wait_for(lambda: busy.stats().writes > 20)
        began = time.monotonic()
        r.engine.stop(force_after=0.5)
        assert time.monotonic() - began < 5
        assert r.vbd_keys() == {}
        assert calm.mapped == busy.mapped == 0
        with pytest.raises(UserError, match="not running"):
            r.engine.next_vdev("calm")


def test_an_image_that_hangs_while_opening_stops_neither_the_engine_nor_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    def hang(path: str, writable: bool, *, direct: bool | None, sector_size: int) -> RawImage:
        let_go.wait(30)
        return open_image(path, writable, direct=direct, sector_size=sector_size)

    monkeypatch.setattr("usblkback_tui.engine.worker.open_image", hang)
    image = tmp_path / "a.img"
    image.write_bytes(bytes(MIB))
    try:
        with rig(tmp_path, disks=(DiskSettings("g1", str(image), "xvdc"),)) as r:
            r.guest()
            wait_for(lambda: r.disk("g1", "xvdc") is not None)
            disk = r.disk("g1", "xvdc")
            assert disk is not None
            assert disk.health.sentence == "opening the image"
            began = time.monotonic()
            r.engine.detach("g1", "xvdc", force=True, wait=0.2)
            assert r.engine.snapshot().disks == ()
            assert time.monotonic() - began < 4
            fds = len(os.listdir("/proc/self/fd"))
            let_go.set()
            time.sleep(0.5)
            assert len(os.listdir("/proc/self/fd")) <= fds
            open_image(str(image), writable=True).close()  # what came too late was let go of
    finally:
        let_go.set()


def test_disks_of_one_domain_that_end_together_leave_no_empty_directory(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        for round_ in range(3):
            vdevs = ["xvda", "xvdb", "xvdc"]
            for vdev in vdevs:
                r.attach("g1", r.image(f"{vdev}{round_}"), vdev)
            threads = [threading.Thread(target=r.engine.detach, args=("g1", vdev)) for vdev in vdevs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert r.vbd_keys() == {}


@pytest.mark.parametrize("other", ["a.img", "b.img"])
def test_a_device_that_is_written_anew_before_we_could_look(tmp_path: Path, other: str) -> None:
    with rig(tmp_path) as r:
        guest = r.guest()
        image, image2 = r.image(), r.image(other)
        disk = r.attach("g1", image, "xvda")
        guest.start_load()
        wait_for(lambda: guest.stats().writes > 20)
        guest.stop_load()
        written = image.read_bytes()
        identity = BackendIdentity(disk.domid, disk.devid, str(image2), "w")
        anew = removal_commit(0, "usblkback", disk.domid, disk.devid, last=True)
        r.host.commit([*anew, *attach_commit(0, "usblkback", identity)])
        wait_for(lambda: (d := r.disk("g1", "xvda")) is not None and d.image == str(image2) and d.rings != ())
        guest.wait_state("xvda", timeout=60.0)
        before = guest.stats().writes
        guest.start_load()
        wait_for(lambda: guest.stats().writes > before + 20)
        assert guest.verify().ok
        assert other == "a.img" or image.read_bytes() == written


def test_what_an_earlier_engine_left_of_a_dead_domain_is_removed_and_of_a_living_one_served(tmp_path: Path) -> None:
    image = tmp_path / "a.img"
    image.write_bytes(bytes(MIB))
    host = SimHost()
    host.open()
    alive = host.hypervisor.create("alive")
    host.commit(attach_commit(0, "usblkback", BackendIdentity(alive.domid, 51712, str(image), "w")))
    dead = host.hypervisor.create("dead")
    host.commit(attach_commit(0, "usblkback", BackendIdentity(dead.domid, 51712, str(image), "w")))
    host.hypervisor.destroy(dead.domid)
    engine = Engine(host, Settings())
    try:
        engine.start()
        wait_for(lambda: [d.backend_state for d in engine.snapshot().disks] == [S.INIT_WAIT])
        assert engine.snapshot().disks[0].domain == "alive"
        assert engine.snapshot().disks[0].owned
        wait_for(lambda: host.list(f"/local/domain/0/backend/usblkback/{dead.domid}") == ())
        engine.stop(force_after=1.0)
        assert engine.snapshot().disks == ()
    finally:
        engine.stop(force_after=0.0)
        host.close()
