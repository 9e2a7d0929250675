# SPDX-License-Identifier: MIT
"""Vbds that others serve: found, followed and judged, never touched."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.control.fake_backend import a_foreign_disk
from tests.engine.rig import Rig, rig, wait_for
from tests.host.fakexen import FakeXen
from usblkback_tui.engine import observer as observer_module
from usblkback_tui.engine.host.seam import Domain, Hints
from usblkback_tui.engine.kernelmodel import KernelBackend
from usblkback_tui.engine.observer import TOKEN, Observer
from usblkback_tui.engine.rates import foreign_rates
from usblkback_tui.engine.snapshot import ForeignDisk, KernelCounters, Severity
from usblkback_tui.engine.sysfs import read_counters
from usblkback_tui.protocol.states import XenbusState as S

SECONDS = 60.0
EVERYTHING = Hints(everything=True)
G5 = (Domain(0, "Domain-0"), Domain(5, "g5"))


def write_vbd(xen: FakeXen, kind: str, domid: int, devid: int, *, backend: int = 0, **keys: str) -> str:
    """The two directories of a vbd as a toolstack writes them; the backend's path."""
    back = f"/local/domain/{backend}/backend/{kind}/{domid}/{devid}"
    front = f"/local/domain/{domid}/device/vbd/{devid}"
    values = {"frontend": front, "params": "/dev/vg/a", "mode": "w", "online": "1", "state": "4", **keys}
    for key, value in values.items():
        xen.write(f"{back}/{key.replace('_', '-')}", value)
    xen.write(f"{front}/state", "4")
    return back


@pytest.fixture
def xen(tmp_path: Path) -> FakeXen:
    return FakeXen(tmp_path)


@contextmanager
def observer(xen: FakeXen, *kinds: str, me: int = 0) -> Iterator[Observer]:
    host = xen.host()
    host.open()
    try:
        yield Observer(host, me, kinds or ("usblkback",))
    finally:
        host.close()


def test_every_kind_but_ours_is_found(xen: FakeXen) -> None:
    write_vbd(xen, "vbd", 5, 51712, sectors="2048", sector_size="4096", mode="r", device_type="cdrom")
    write_vbd(xen, "qdisk", 5, 51728, params="aio:/img/\x1b[31m.qcow2")
    write_vbd(xen, "usblkback", 5, 51744)
    xen.write("/local/domain/0/backend/vif/5/0/frontend", "/local/domain/5/device/vif/0")
    xen.write("/local/domain/0/backend/vbd/x/51712/frontend", "nobody's")
    xen.write("/local/domain/0/backend/vbd/5/51760/frontend", "/local/domain/6/device/vbd/51760")
    with observer(xen) as watcher:
        watcher.follow(EVERYTHING, G5)
        first, second = watcher.disks()
    assert (first.kind, first.server, second.kind, second.server) == ("qdisk", "qemu", "vbd", "vbd")
    assert (second.title, second.key, second.backend) == ("xvda of g5", (5, 51712), 0)
    assert (second.image, second.mode, second.device_type) == ("/dev/vg/a", "r", "cdrom")
    assert (second.sectors, second.sector_size) == (2048, 4096)
    assert (second.frontend_state, second.backend_state, second.online) == (S.CONNECTED, S.CONNECTED, True)
    assert second.health.severity is Severity.GOOD
    assert first.image == "aio:/img/\\x1b[31m.qcow2"
    assert (first.sectors, first.mode) == (0, "w")
    assert second.counters is None


def test_a_driver_domain_looks_at_its_own_and_at_domain_0(tmp_path: Path) -> None:
    xen = FakeXen(tmp_path, domid=2)
    write_vbd(xen, "vbd", 5, 51712)
    write_vbd(xen, "qdisk", 5, 51728, backend=2)
    write_vbd(xen, "usblkback", 5, 51744, backend=2)
    write_vbd(xen, "usblkback", 5, 51760, backend=0)
    with observer(xen, me=2) as watcher:
        watcher.follow(EVERYTHING, G5)
        found = {(disk.backend, disk.kind, disk.devid) for disk in watcher.disks()}
    assert found == {(0, "vbd", 51712), (2, "qdisk", 51728), (0, "usblkback", 51760)}


def test_what_the_kernel_counts(xen: FakeXen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer_module, "COUNTERS_PAUSE", 3600.0)
    write_vbd(xen, "vbd", 5, 51712)
    folder = xen.root / "sys/bus/xen-backend/devices/vbd-5-51712/statistics"
    folder.mkdir(parents=True)
    numbers = {"oo_req": 1, "rd_req": 20, "wr_req": 30, "f_req": 4, "ds_req": 5, "rd_sect": 160, "wr_sect": 240}
    for name, number in numbers.items():
        (folder / name).write_text(f"{number}\n")
    with observer(xen) as watcher:
        watcher.follow(EVERYTHING, G5)
        (disk,) = watcher.disks()
        counted = disk.counters
        assert counted is not None
        assert (counted.reads, counted.writes, counted.flushes, counted.discards) == (20, 30, 4, 5)
        assert (counted.bytes_read, counted.bytes_written, counted.out_of_requests) == (81920, 122880, 1)
        assert disk.server == "xen-blkback"
        assert watcher.disks()[0].counters is counted, "files are not read again at once"


@pytest.mark.parametrize("text", ["", "many\n", "-5\n"])
def test_statistics_that_are_no_numbers(tmp_path: Path, text: str) -> None:
    assert read_counters(str(tmp_path), 5, 51712) is None
    folder = tmp_path / "vbd-5-51712" / "statistics"
    folder.mkdir(parents=True)
    (folder / "rd_req").write_text("7\n")
    (folder / "wr_req").write_text(text)
    counted = read_counters(str(tmp_path), 5, 51712)
    assert counted is not None
    assert (counted.reads, counted.writes, counted.flushes) == (7, 0, 0)


def test_hints_are_followed_and_bounded(xen: FakeXen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer_module, "PAUSE", 3600.0)
    back = write_vbd(xen, "vbd", 5, 51712)
    with observer(xen) as watcher:
        watcher.follow(EVERYTHING, G5)
        xen.write(f"{back}/state", "5")
        watcher.follow(Hints(), G5)
        assert watcher.disks()[0].backend_state is S.CONNECTED, "nobody asked for a look"
        watcher.follow(Hints(frozenset({TOKEN})), G5)
        assert watcher.pending, "the last look was a moment ago"
        assert watcher.disks()[0].backend_state is S.CONNECTED
        monkeypatch.setattr(observer_module, "PAUSE", 0.0)
        watcher.follow(Hints(), G5)
        assert not watcher.pending
        (disk,) = watcher.disks()
        assert disk.backend_state is S.CLOSING
        xen.write(f"{back}/online", "0")
        watcher.follow(EVERYTHING, G5[:1])
        (disk,) = watcher.disks()
        assert (disk.online, disk.running) == (False, False)


def test_what_vanishes_is_forgotten_with_its_watches(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        domain = r.bare_domain()
        before = len(r.host._connection()._watches)
        front = f"/local/domain/{domain.domid}/device/vbd/51712"
        back = f"/local/domain/0/backend/qdisk/{domain.domid}/51712"
        r.write(0, front, state="1")
        r.write(0, back, frontend=front, params="aio:/a", mode="w", state="2")
        wait_for(lambda: r.engine.snapshot().foreign, SECONDS)
        assert len(r.host._connection()._watches) > before
        r.write(0, back, state="4")
        r.write(0, front, state="4")
        wait_for(lambda: states(r.engine.snapshot().foreign) == [(S.CONNECTED, S.CONNECTED)], SECONDS)
        r.engine.store_remove(f"/local/domain/0/backend/qdisk/{domain.domid}")
        wait_for(lambda: not r.engine.snapshot().foreign, SECONDS)
        wait_for(lambda: len(r.host._connection()._watches) == before, SECONDS)


def states(disks: tuple[ForeignDisk, ...]) -> list[tuple[S, S]]:
    return [(disk.frontend_state, disk.backend_state) for disk in disks]


def test_a_store_full_of_vbds_is_bounded(xen: FakeXen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer_module, "MAX_FOREIGN", 3)
    for devid in range(5):
        write_vbd(xen, "vbd", 5, devid)
    with observer(xen) as watcher:
        watcher.follow(EVERYTHING, G5)
        assert len(watcher.disks()) == 3


def test_watches_are_few_outside_domain_0_and_may_be_refused(tmp_path: Path) -> None:
    xen = FakeXen(tmp_path, domid=2)
    for devid in range(20):
        write_vbd(xen, "qdisk", 5, devid, backend=2)
    with observer(xen, me=2) as watcher:
        watcher.follow(EVERYTHING, G5)
        assert xen.count("watches") == observer_module.FEW_WATCHES
        xen.fault("xs_watch", errno.ENOSPC)
        write_vbd(xen, "vbd", 5, 100, backend=2)
        watcher.follow(EVERYTHING, G5)
        assert len(watcher.disks()) == 21


def test_rates_of_what_the_kernel_serves() -> None:
    old = a_foreign_disk()
    was = replace(old, counters=KernelCounters(10.0, reads=100, writes=10, bytes_read=4096))
    now = replace(old, counters=KernelCounters(12.0, reads=300, writes=30, flushes=2, bytes_read=8192))
    rates = foreign_rates(was, now)
    assert rates is not None
    assert (rates.reads, rates.writes, rates.flushes, rates.read_bytes) == (100.0, 10.0, 1.0, 2048.0)
    assert foreign_rates(was, was) is None
    assert foreign_rates(now, was) is None
    assert foreign_rates(replace(was, counters=None), now) is None
    assert foreign_rates(was, replace(now, counters=KernelCounters(13.0, reads=1))) is None


# the embedded host ------------------------------------------------------------------------------------------------


def foreign(r: Rig) -> ForeignDisk | None:
    return next(iter(r.engine.snapshot().foreign), None)


def test_a_model_of_the_kernels_backend(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest()
        kernel = KernelBackend(r.host.hypervisor, tmp_path / "devices")
        kernel.start()
        r.host.show_statistics(str(kernel.folder))
        try:
            own = r.attach("g1", r.image("ours"), "xvda")
            kernel.attach("g1", str(r.image("theirs")), "xvdk")
            guest.wait_state("xvdk", timeout=SECONDS)
            guest.start_load()
            wait_for(lambda: (d := foreign(r)) and d.counters and d.counters.bytes_written > 1 << 16, SECONDS)
            disk = foreign(r)
            assert disk is not None
            assert (disk.vdev, disk.kind, disk.server, disk.domain) == ("xvdk", "vbd", "xen-blkback", "g1")
            assert disk.health.severity is Severity.GOOD
            assert disk.sectors == 16 * 2048
            assert [d.key for d in r.engine.snapshot().disks] == [own.key], "it is watched, not served"
            assert r.engine.store(f"/local/domain/0/backend/vbd/{disk.domid}/{disk.devid}/type").value == "phy"
            guest.stop_load()
            assert guest.verify().mismatches == 0
            guest.shutdown()
            wait_for(lambda: foreign(r) is None, SECONDS)
        finally:
            kernel.stop()
            guest.close()
        assert not [path for path in r.vbd_keys() if "/backend/vbd/" in path]
