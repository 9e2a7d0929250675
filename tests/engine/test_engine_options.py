# SPDX-License-Identifier: MIT
"""CDs, large sectors and direct I/O: what a guest is told, what it gets, and what cannot be."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from tests.engine.rig import MIB, Rig, rig, wait_for
from tests.engine.test_engine_io import run_load
from tests.engine.test_engine_refusals import toolstack
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.engine.image.raw import open_image
from usblkback_tui.engine.settings import DirectIo, DiskOptions, DiskSettings
from usblkback_tui.engine.snapshot import DiskView, Severity
from usblkback_tui.protocol.backend import OPTIONS_KEY
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState as S


def attach(r: Rig, image: Path, options: DiskOptions, mode: str = "w") -> DiskView:
    disk = r.engine.attach(AttachRequest("g1", str(image), "xvda", mode, options), wait=60.0)
    assert disk.rings, disk.health
    return disk


def keys_of(r: Rig, disk: DiskView) -> dict[str, str]:
    path = f"/local/domain/0/backend/{disk.kind}/{disk.domid}/{disk.devid}"
    return {key.removeprefix(f"{path}/"): value for key, value in r.store(path).items()}


def test_a_cd_is_read_only_whatever_the_mode(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest(load=Load(read_percent=50, span_bytes=MIB, verify=False))
        image = r.image(size=MIB)
        image.write_bytes(b"\x5a" * MIB)
        disk = attach(r, image, DiskOptions(device_type="cdrom"), "w")
        assert (disk.mode, disk.device_type) == ("r", "cdrom")
        keys = keys_of(r, disk)
        assert (keys["info"], keys["mode"], keys["device-type"], keys["removable"]) == ("7", "r", "cdrom", "1")
        assert r.store(f"/local/domain/{guest.domid}/device/vbd/{disk.devid}/device-type").popitem()[1] == "cdrom"
        guest.start_load()
        wait_for(lambda: guest.stats().reads > 50, 60)
        guest.stop_load()
        assert image.read_bytes() == b"\x5a" * MIB
        assert r.engine.snapshot().disks[0].counters.writes == 0


def test_a_cd_of_a_toolstack(tmp_path: Path) -> None:
    with rig(tmp_path, kinds=("usblkback", "vbd")) as r:
        guest = r.guest()
        toolstack(r, guest.domid, str(r.image()), device_type="cdrom", mode="w", removable="1", discard_enable="0")
        wait_for(lambda: [disk.backend_state for disk in r.engine.snapshot().disks] == [S.CONNECTED], 60)
        disk = r.engine.snapshot().disks[0]
        assert disk.device_type == "cdrom"
        assert keys_of(r, disk)["info"] == "7"
        assert keys_of(r, disk)["feature-discard"] == "0"


def test_a_toolstack_may_turn_discard_off(tmp_path: Path) -> None:
    with rig(tmp_path, kinds=("usblkback", "vbd")) as r:
        guest = r.guest()
        toolstack(r, guest.domid, str(r.image()), discard_enable="0")
        wait_for(lambda: [disk.backend_state for disk in r.engine.snapshot().disks] == [S.CONNECTED], 60)
        assert keys_of(r, r.engine.snapshot().disks[0])["feature-discard"] == "0"


def test_options_that_somebody_garbled_end_in_a_sentence(tmp_path: Path) -> None:
    with rig(tmp_path, kinds=("usblkback", "vbd")) as r:
        guest = r.guest()
        back = toolstack(r, guest.domid, str(r.image()), **{OPTIONS_KEY: '{"max_queues": 99}'})
        wait_for(lambda: r.store(back).get(f"{back}/hotplug-status") == "error", 60)
        assert "max_queues is 99; set it to" in r.store(back)[f"{back}/hotplug-error"]


def test_large_sectors_are_told_to_the_guest_and_warned_of(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest()
        disk = attach(r, r.image(), DiskOptions(sector_size=4096))
        assert disk.sector_size == 4096
        keys = keys_of(r, disk)
        assert (keys["sector-size"], keys["sectors"]) == ("4096", str(16 * MIB // 512))
        warnings = [event.text for event in r.engine.events(0) if event.severity is Severity.WARNING]
        assert any("xvda of g1 has sectors of 4096 bytes" in text for text in warnings)
        run_load(guest, 200)


def test_an_image_that_is_no_whole_number_of_large_sectors(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image(size=MIB + 512)
        with pytest.raises(
            UserError, match=r"no whole number of 4096-byte sectors; pad it .*or use sector_size"
        ) as error:
            r.engine.attach(AttachRequest("g1", str(image), "xvda", options=DiskOptions(sector_size=4096)))
        assert error.value.key == "sector_size"


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (DiskOptions(max_queues=17), "max_queues"),
        (DiskOptions(max_ring_page_order=5), "max_ring_page_order"),
        (DiskOptions(indirect_segments=5), "indirect_segments"),
        (DiskOptions(persistent_pages=-1), "persistent_pages"),
        (DiskOptions(sector_size=1024), "sector_size"),
        (DiskOptions(device_type="floppy"), "device_type"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, options: DiskOptions, key: str
) -> None:
    with rig(tmp_path) as r:
        r.guest()
        for verb in (r.engine.plan, r.engine.attach):
            with pytest.raises(UserError, match=f"{key} is .*; set it to ") as error:
                verb(AttachRequest("g1", str(r.image()), "xvda", options=options))
            assert error.value.key == key
        assert r.vbd_keys() == {}


def test_a_plan_says_what_would_be_offered(tmp_path: Path) -> None:
    with rig(tmp_path, max_queues=3) as r:
        r.guest()
        request = AttachRequest("g1", str(r.image()), "xvda", options=DiskOptions(max_ring_page_order=2))
        plan = r.engine.plan(request)
        offers = dict(plan.offers)
        assert (offers["multi-queue-max-queues"], offers["max-ring-page-order"], offers["max-ring-pages"]) == (
            "3",
            "2",
            "4",
        )
        assert (plan.limits.queues, plan.limits.ring_pages) == (3, 4)
        disk = r.engine.attach(request, wait=60.0)
        keys = keys_of(r, disk)
        assert {key: keys[key] for key in offers} == offers


# direct I/O ------------------------------------------------------------------------------------------------------


def takes_direct(folder: Path) -> bool:
    """Whether the filesystem gives out descriptors for direct I/O."""
    probe = folder / "probe"
    probe.write_bytes(bytes(4096))
    fd = os.open(probe, os.O_RDWR)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    finally:
        os.close(fd)
        probe.unlink()
    return True


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize(
    ("persistent", "grant_copy", "mode"), [(True, True, "persistent"), (False, True, "copy"), (False, False, "map")]
)
def test_every_byte_comes_back_past_the_page_cache(
    tmp_path: Path, sector_size: int, persistent: bool, grant_copy: bool, mode: str
) -> None:
    if not takes_direct(tmp_path):
        pytest.skip("this filesystem refuses direct I/O")
    with rig(tmp_path, grant_copy=grant_copy) as r:
        guest = r.guest(
            load=Load(block_bytes=32 * 1024, span_bytes=4 * MIB),
            options=GuestOptions(autostart=False, persistent=persistent),
        )
        options = DiskOptions(direct_io=DirectIo.YES, sector_size=sector_size)
        try:
            disk = attach(r, r.image(), options)
        except UserError as error:
            if error.key == "sector_size" and sector_size == 512:
                pytest.skip(f"this filesystem takes larger pieces only: {error}")
            raise
        assert disk.direct
        assert disk.rings[0].grant_mode == mode
        run_load(guest, 200)
        disk = r.engine.snapshot().disks[0]
        assert disk.counters.errors == 0


def test_files_are_cached_unless_asked_otherwise(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        assert not attach(r, r.image(), DiskOptions()).direct


def test_a_filesystem_that_refuses_direct_io_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.fcntl

    def refuse(fd: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETFL and argument & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, command, argument)

    monkeypatch.setattr("fcntl.fcntl", refuse)
    with rig(tmp_path) as r:
        r.guest()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(UserError, match=r"direct I/O: its filesystem refuses direct I/O; set direct_io") as error:
            attach(r, r.image(), DiskOptions(direct_io=DirectIo.YES))
        assert error.value.key == "direct_io"
        assert len(os.listdir("/proc/self/fd")) == before


def test_storage_that_takes_large_pieces_only_needs_large_sectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not takes_direct(tmp_path):
        pytest.skip("this filesystem refuses direct I/O")
    image = tmp_path / "a.img"
    image.write_bytes(bytes(MIB))
    monkeypatch.setattr("usblkback_tui.engine.image.raw._reads", lambda fd, page, size: size == 4096)
    with pytest.raises(UserError, match=r"in pieces of 4096 bytes only.*; use sector_size 4096") as error:
        open_image(str(image), True, direct=True)
    assert error.value.key == "sector_size"
    opened = open_image(str(image), True, direct=True, sector_size=4096)
    assert opened.direct
    assert opened.logical_sector_size == opened.physical_sector_size == 4096
    opened.close()


def test_a_disk_of_the_config_has_its_options(tmp_path: Path) -> None:
    image = tmp_path / "a.img"
    image.write_bytes(bytes(MIB))
    own = DiskOptions(max_queues=1, sector_size=4096, device_type="cdrom")
    with rig(tmp_path, disks=(DiskSettings("g1", str(image), "xvdc", "w", own),)) as r:
        r.guest()
        wait_for(lambda: (d := r.disk("g1", "xvdc")) is not None and d.rings != (), 60)
        disk = r.disk("g1", "xvdc")
        assert disk is not None
        assert (disk.options, disk.mode, disk.sector_size) == (own, "r", 4096)
