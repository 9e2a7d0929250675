# SPDX-License-Identifier: MIT
"""A guest's bytes through the whole engine: every way to reach its pages, every layout, attach after attach."""

from pathlib import Path

import pytest

from tests.engine.rig import MIB, rig, wait_for
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.engine.host.sim.machine import SimGuest
from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.protocol.states import XenbusState as S


def run_load(guest: SimGuest, requests: int = 400) -> None:
    """Load until ``requests`` more requests are done, then everything written is read back and compared."""
    before = guest.stats().reads + guest.stats().writes
    guest.start_load()
    wait_for(lambda: guest.stats().reads + guest.stats().writes >= before + requests, 30.0)
    report = guest.verify()
    assert report.errors == 0
    assert report.mismatches == 0
    assert report.read_back > 0


@pytest.mark.parametrize("protocol", ["x86_64-abi", "x86_32-abi", ""])
@pytest.mark.parametrize(
    ("persistent", "grant_copy", "mode"), [(True, True, "persistent"), (False, True, "copy"), (False, False, "map")]
)
@pytest.mark.parametrize("block", [4096, 128 * 1024])
def test_every_byte_comes_back(
    tmp_path: Path, protocol: str, persistent: bool, grant_copy: bool, mode: str, block: int
) -> None:
    with rig(tmp_path, grant_copy=grant_copy) as r:
        options = GuestOptions(autostart=False, persistent=persistent, protocol=protocol)
        guest = r.guest(load=Load(block_bytes=block, span_bytes=4 * MIB, flush_every=50), options=options)
        disk = r.attach("g1", r.image(), "xvda")
        assert disk.rings[0].grant_mode == mode
        assert disk.rings[0].protocol == (protocol or "x86_64-abi")
        run_load(guest, 200)
        disk = r.engine.snapshot().disks[0]
        assert disk.counters.reads > 0
        assert disk.counters.writes > 0
        assert disk.counters.flushes > 0
        assert disk.counters.errors == 0
        assert (disk.counters.indirect > 0) == (block > 11 * 4096)
        assert disk.health.severity is Severity.GOOD
        if mode == "copy":
            assert disk.counters.maps == 0
        assert disk.counters.maps == disk.counters.unmaps + disk.counters.grants_mapped


def test_data_survives_detach_and_attach(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest, image = r.guest(), r.image()
        for _ in range(3):
            r.attach("g1", image, "xvda")
            run_load(guest)
            r.engine.detach("g1", "xvda")
            assert r.engine.snapshot().disks == ()
            assert r.vbd_keys() == {}
            assert guest.mapped == 0


def test_counters_go_on_over_a_reconnect_of_the_same_disk(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest()
        disk = r.attach("g1", r.image(), "xvda")
        run_load(guest)
        done = r.engine.snapshot().disks[0].counters
        # what a guest's driver does on unbind and bind: it closes, and starts again from Initialising
        r.write(0, f"/local/domain/{guest.domid}/device/vbd/{disk.devid}", state="1")
        wait_for(lambda: (d := r.disk("g1", "xvda")) is not None and d.counters.maps >= done.maps and d.rings != ())
        assert r.engine.snapshot().disks[0].counters.writes >= done.writes


def test_a_small_budget_of_persistent_pages_is_kept(tmp_path: Path) -> None:
    with rig(tmp_path, persistent_pages=16) as r:
        guest = r.guest(load=Load(block_bytes=64 * 1024, depth=8, span_bytes=4 * MIB))
        r.attach("g1", r.image(), "xvda")
        run_load(guest)
        counters = r.engine.snapshot().disks[0].counters
        assert counters.grants_mapped <= 16
        assert counters.unmaps > 0
        assert guest.mapped <= 17  # and the ring


def test_discard_makes_the_file_smaller(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest, image = r.guest(load=Load(read_percent=0, block_bytes=32768, span_bytes=8 * MIB)), r.image()
        r.attach("g1", image, "xvda")
        run_load(guest, 600)
        full = image.stat().st_blocks
        guest.set_load(Load(read_percent=0, span_bytes=8 * MIB, discard_every=1, depth=4))
        guest.start_load()
        wait_for(lambda: guest.stats().discards > 2000 or image.stat().st_blocks < full // 2, 20.0)
        report = guest.verify()
        assert report.errors == report.mismatches == 0
        assert image.stat().st_blocks < full
        assert r.engine.snapshot().disks[0].counters.discards > 0


def test_a_read_only_disk_refuses_every_write(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        image = r.image()
        image.write_bytes(b"\xa5" * MIB)
        guest = r.guest(load=Load(read_percent=50, span_bytes=MIB, verify=False))
        disk = r.attach("g1", image, "xvda", "r")
        keys = r.store(f"/local/domain/0/backend/usblkback/{guest.domid}/{disk.devid}")
        assert keys[f"/local/domain/0/backend/usblkback/{guest.domid}/{disk.devid}/info"] == "4"
        guest.start_load()
        wait_for(lambda: guest.stats().reads > 50)
        guest.stop_load()
        assert image.read_bytes() == b"\xa5" * MIB
        assert r.engine.snapshot().disks[0].counters.writes == 0


def test_two_guests_with_two_disks_each_at_once(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guests = [r.guest("g1"), r.guest("g2")]
        for guest in guests:
            for vdev in ("xvda", "xvdb"):
                r.attach(guest.name, r.image(f"{guest.name}{vdev}"), vdev)
        for guest in guests:
            guest.start_load()
        wait_for(lambda: all(disk.counters.writes > 100 for disk in r.engine.snapshot().disks), 30.0)
        for guest in guests:
            report = guest.verify()
            assert report.errors == report.mismatches == 0
        assert len(r.engine.snapshot().disks) == 4


def test_a_failing_image_is_an_error_for_the_guest_and_a_sentence_for_the_operator(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        image = r.image(size=4 * MIB)
        guest = r.guest(load=Load(read_percent=100, span_bytes=4 * MIB, verify=False))
        r.attach("g1", image, "xvda")
        guest.start_load()
        wait_for(lambda: guest.stats().reads > 20)
        with image.open("r+b") as file:
            file.truncate(MIB)  # somebody shortens the file under us: reads behind its end must not be zeros
        wait_for(lambda: guest.stats().errors > 0)
        guest.stop_load()
        disk = r.engine.snapshot().disks[0]
        assert disk.counters.io_errors > 0
        assert disk.health.severity is Severity.WARNING
        assert "image errors" in disk.health.sentence
        assert disk.backend_state is S.CONNECTED
