# SPDX-License-Identifier: MIT
"""Disks that grow while their guest uses them, and sizes that are refused."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.engine.rig import MIB, Rig, rig, wait_for
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.engine.settings import DiskOptions
from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.states import XenbusState as S


def sectors_key(r: Rig) -> str:
    disk = r.engine.snapshot().disks[0]
    path = f"/local/domain/0/backend/usblkback/{disk.domid}/{disk.devid}/sectors"
    return r.store(path)[path]


@pytest.mark.parametrize("queues", [1, 3])
def test_a_disk_grows_under_load_and_the_guest_uses_all_of_it(tmp_path: Path, queues: int) -> None:
    with rig(tmp_path, max_queues=4) as r:
        guest = r.guest(load=Load(depth=8, read_percent=40), options=GuestOptions(autostart=False, max_queues=queues))
        image = r.image(size=MIB)
        r.attach("g1", image, "xvda")
        guest.start_load()
        wait_for(lambda: guest.stats().writes > 50, 60)
        grown = r.engine.resize("g1", "xvda", 4 * MIB // 512)
        assert grown.sectors == 4 * MIB // 512
        assert image.stat().st_size == 4 * MIB
        assert sectors_key(r) == str(4 * MIB // 512)
        assert r.engine.snapshot().disks[0].sectors == 4 * MIB // 512
        assert "xvda of g1 has 4 MiB now, it had 1 MiB" in r.texts()
        assert (r.engine.snapshot().disks[0].backend_state, grown.frontend_state) == (S.CONNECTED, S.CONNECTED)
        before = guest.stats().writes
        wait_for(lambda: guest.stats().writes > before + 100, 60)
        report = guest.verify()
        assert report.errors == report.mismatches == 0
        # a load over the whole of the new size reaches what was not there before
        guest.set_load(Load(depth=8, read_percent=0, block_bytes=64 * 1024, sequential=True))
        guest.start_load()
        wait_for(lambda: any_data(image, 2 * MIB), 60)
        report = guest.verify()
        assert report.errors == report.mismatches == 0
        assert r.engine.snapshot().disks[0].health.severity is Severity.GOOD


def any_data(image: Path, offset: int) -> bool:
    fd = os.open(image, os.O_RDONLY)
    try:
        return os.pread(fd, 1 << 20, offset).count(0) != 1 << 20
    finally:
        os.close(fd)


def test_without_a_size_the_image_says_it(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image(size=MIB)
        r.attach("g1", image, "xvda", "r")
        assert r.engine.resize("g1", "xvda").sectors == MIB // 512
        events = len(r.engine.events(0))
        os.truncate(image, 3 * MIB + 700)  # the odd end does not count
        assert r.engine.resize("g1", "xvda").sectors == (3 * MIB + 512) // 512
        assert sectors_key(r) == str((3 * MIB + 512) // 512)
        assert len(r.engine.events(0)) == events + 1
        assert r.engine.resize("g1", "xvda").sectors == (3 * MIB + 512) // 512
        assert len(r.engine.events(0)) == events + 1, "nothing has changed"


def test_a_disk_that_is_not_connected_takes_the_size_when_it_connects(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        domain = r.bare_domain("mute")
        r.engine.attach(AttachRequest("mute", str(r.image(size=MIB)), "xvda"))
        wait_for(lambda: r.engine.snapshot().disks[0].backend_state is S.INIT_WAIT, 60)
        r.engine.resize("mute", "xvda", 2 * MIB // 512)
        assert r.engine.snapshot().disks[0].sectors == 2 * MIB // 512
        assert "the guest sees it when it connects" in r.texts()
        keys = r.store(f"/local/domain/0/backend/usblkback/{domain.domid}/51712")
        assert not any(key.endswith("/sectors") for key in keys)
        assert r.engine.snapshot().disks[0].backend_state is S.INIT_WAIT


@pytest.mark.parametrize(
    ("sectors", "words"),
    [
        (MIB // 512 - 1, "is never made smaller; name a larger size"),
        (0, "is no size for a file"),
        (-1, "is no size for a file"),
        (1 << 60, "is no size for a file"),
    ],
)
def test_a_size_that_cannot_be(tmp_path: Path, sectors: int, words: str) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image(size=MIB)
        r.attach("g1", image, "xvda")
        with pytest.raises(UserError) as error:
            r.engine.resize("g1", "xvda", sectors)
        assert words in str(error.value)
        assert error.value.key == "size"
        assert error.value.fix
        assert image.stat().st_size == MIB
        assert r.engine.resize("g1", "xvda", MIB // 512 + 8).sectors == MIB // 512 + 8, "one can try again"


def test_a_file_that_is_larger_already_is_not_cut(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image(size=MIB)
        r.attach("g1", image, "xvda")
        os.truncate(image, 4 * MIB)
        with pytest.raises(UserError, match=r"has 4 MiB .* never made smaller; .*none to take over the size it has"):
            r.engine.resize("g1", "xvda", 2 * MIB // 512)
        assert image.stat().st_size == 4 * MIB
        assert r.engine.resize("g1", "xvda", 4 * MIB // 512).sectors == 4 * MIB // 512


def test_an_image_that_shrank_is_not_taken_over(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image(size=2 * MIB)
        r.attach("g1", image, "xvda")
        os.truncate(image, MIB)
        with pytest.raises(UserError, match=r"has 1 MiB \(2048 sectors\) now, and the guest knows of 2 MiB"):
            r.engine.resize("g1", "xvda")
        assert sectors_key(r) == str(2 * MIB // 512)


def test_a_read_only_disk_is_grown_by_its_owner(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        r.attach("g1", r.image(size=MIB), "xvda", "r")
        with pytest.raises(UserError, match=r"is attached read-only; grow it yourself \(truncate -s 2097152 "):
            r.engine.resize("g1", "xvda", 2 * MIB // 512)


def test_large_sectors_stay_whole(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image(size=MIB)
        r.engine.attach(AttachRequest("g1", str(image), "xvda", options=DiskOptions(sector_size=4096)), wait=60.0)
        with pytest.raises(UserError, match=r"no whole number of 4096-byte sectors"):
            r.engine.resize("g1", "xvda", MIB // 512 + 1)
        os.truncate(image, 2 * MIB + 2048)
        assert r.engine.resize("g1", "xvda").sectors == 2 * MIB // 512


def test_what_is_not_attached_is_not_resized(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        with pytest.raises(UserError, match="xvdb of g1 is not attached here"):
            r.engine.resize("g1", "xvdb")


def test_one_resize_of_a_disk_at_a_time_and_a_detach_meanwhile_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, let_go = threading.Event(), threading.Event()
    real = os.ftruncate

    def hang(fd: int, size: int) -> None:
        entered.set()
        let_go.wait(60)
        real(fd, size)

    with rig(tmp_path) as r:
        r.guest()
        image = r.image(size=MIB)
        r.attach("g1", image, "xvda")
        monkeypatch.setattr("os.ftruncate", hang)
        failures: list[BaseException] = []

        def grow() -> None:
            try:
                r.engine.resize("g1", "xvda", 2 * MIB // 512)
            except UserError as error:
                failures.append(error)

        thread = threading.Thread(target=grow)
        thread.start()
        try:
            assert entered.wait(60)
            with pytest.raises(UserError, match="is being resized already"):
                r.engine.resize("g1", "xvda")
            r.engine.detach("g1", "xvda", wait=30.0)  # the control thread is not kept
            assert r.engine.snapshot().disks == ()
        finally:
            let_go.set()
            thread.join(60)
        assert failures == []
        assert r.vbd_keys() == {}
