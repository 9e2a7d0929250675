# SPDX-License-Identifier: MIT
"""Opening Xen and what it says of itself; grants and event channels with their refusals."""

from __future__ import annotations

import ctypes
import errno
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from cffi import FFI

from tests.host.fakexen import FakeXen
from usblkback_tui.engine.host.seam import Domain, HostError, Readiness
from usblkback_tui.engine.host.xen import XenHost
from usblkback_tui.engine.host.xen.libs import NEEDED, Library

ffi = FFI()


@pytest.fixture
def xen(tmp_path: Path) -> FakeXen:
    return FakeXen(tmp_path)


@pytest.fixture
def host(xen: FakeXen) -> Iterator[XenHost]:
    host = xen.host()
    host.open()
    yield host
    host.close()
    assert xen.open_handles() == 0


def line(host: XenHost, name: str) -> Readiness:
    (found,) = [line for line in host.readiness() if line.name == name]
    return found


def refused(host: XenHost, name: str) -> str:
    """Opening fails with the very sentence that ``doctor`` shows."""
    with pytest.raises(HostError) as caught:
        host.open()
    shown = line(host, name)
    assert (shown.ok, shown.needed) == (False, True)
    assert str(caught.value) == f"{shown.seen}; {shown.fix}"
    return str(caught.value)


def test_everything_is_ready(xen: FakeXen, monkeypatch: pytest.MonkeyPatch) -> None:
    (xen.root / "xl").write_text("#!/bin/sh\n")
    (xen.root / "xl").chmod(0o755)
    monkeypatch.setenv("PATH", str(xen.root))
    lines = xen.host().readiness()
    assert [line for line in lines if not line.ok] == []
    assert [line.name for line in lines] == [
        "hypervisor",
        "libxenstore",
        "libxengnttab",
        "libxenevtchn",
        "event channels",
        "grants",
        "xenstore",
        "xenstored",
        "backend rights",
        "attach without a toolstack",
        "grant copy",
        "grant limit",
        "kernel xen-blkback",
        "xl",
    ]
    assert lines[0].seen == "Xen 4.17.7"
    assert line(xen.host(), "xenstored").seen == "answers; we are domain 0"
    assert xen.open_handles() == 0


def test_looking_leaves_an_open_host_alone(xen: FakeXen, host: XenHost) -> None:
    host.watch("/a", "t")
    host.readiness()
    assert host.wait(0).tokens == {"t"}
    assert xen.count("connections") == 1


def test_not_on_xen(xen: FakeXen) -> None:
    (xen.root / "sys/hypervisor/type").write_text("kvm\n")
    assert "runs on 'kvm', not on Xen; boot Xen" in refused(xen.host(), "hypervisor")
    (xen.root / "sys/hypervisor/type").unlink()
    xen.host().open()  # a kernel without CONFIG_SYS_HYPERVISOR has /proc/xen all the same


def test_nowhere_near_xen(tmp_path: Path) -> None:
    host = XenHost(tmp_path, {library.name: "/none" for library in NEEDED})
    assert "this machine does not run on Xen" in refused(host, "hypervisor")
    assert [line.ok for line in host.readiness() if line.needed] == [False] * 7
    assert all(line.fix for line in host.readiness() if not line.ok)
    assert line(host, "grants").fix == line(host, "xenstore").fix == "boot Xen first"


@pytest.mark.parametrize("library", NEEDED)
def test_a_missing_library_names_its_package(xen: FakeXen, library: Library) -> None:
    name, package = library.name, library.package
    sentence = refused(XenHost(xen.root, xen.libraries | {name: f"/none/{name}.so"}), name)
    assert f"{name} cannot be opened: /none/{name}.so: cannot open shared object file" in sentence
    assert sentence.endswith(f"(Debian: apt install {package})")


@pytest.mark.parametrize(
    ("device", "name", "fix"),
    [
        ("evtchn", "event channels", "modprobe xen-evtchn (the kernel's CONFIG_XEN_DEV_EVTCHN)"),
        ("gntdev", "grants", "modprobe xen-gntdev (the kernel's CONFIG_XEN_GNTDEV)"),
    ],
)
def test_a_missing_device_names_its_module(xen: FakeXen, device: str, name: str, fix: str) -> None:
    (xen.root / "dev/xen" / device).unlink()
    assert refused(xen.host(), name) == f"/dev/xen/{device} is missing; {fix}"


@pytest.mark.parametrize(
    ("capabilities", "fix"), [("control_d\n", "systemctl start xenstored"), ("", "mount -t xenfs xenfs /proc/xen")]
)
def test_no_way_to_the_store(xen: FakeXen, capabilities: str, fix: str) -> None:
    (xen.root / "dev/xen/xenbus").unlink()
    (xen.root / "proc/xen/capabilities").write_text(capabilities)
    assert refused(xen.host(), "xenstore").endswith(fix)
    (xen.root / "run/xenstored").mkdir(parents=True)
    (xen.root / "run/xenstored/socket").write_text("")
    xen.host().open()


def test_no_permission(xen: FakeXen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *arguments, **more: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refused(xen.host(), "event channels") == "/dev/xen/evtchn may not be opened by user 1000; run as root"


@pytest.mark.parametrize(
    ("function", "name", "words"),
    [
        ("xs_open", "xenstored", "xenstore does not take our connection: Connection refused"),
        ("xengnttab_open", "grants", "grants of domain 0 cannot be reached: Connection refused"),
    ],
)
def test_what_only_shows_when_it_is_used(xen: FakeXen, function: str, name: str, words: str) -> None:
    xen.fault(function, errno.ECONNREFUSED)
    host = xen.host()
    with pytest.raises(HostError, match=words):
        host.open()
    assert [line.seen for line in host.readiness() if line.name == name and not line.ok] == [words]
    assert xen.open_handles() == 0


def test_a_store_without_our_domid(tmp_path: Path) -> None:
    xen = FakeXen(tmp_path, domid=7)
    xen.write("/local/domain/7/domid", "seven")
    with pytest.raises(HostError, match=r"our own domain id is 'seven' in xenstore \(key domid\); start this domain"):
        xen.host().open()
    assert xen.open_handles() == 0
    assert "is 'seven'" in line(xen.host(), "xenstored").seen
    (xen.root / "proc/xen/capabilities").write_text("control_d")
    host = xen.host()
    host.open()
    assert host.domid() == 0
    host.close()


def test_what_a_control_domain_can(host: XenHost) -> None:
    caps = host.caps
    assert (caps.name, caps.transactions, caps.grant_copy, caps.domain_list) == ("xen", True, True, True)
    assert (caps.can_attach, caps.max_map_pages) == (True, 65536)
    host.open()


def test_what_a_driver_domain_can(tmp_path: Path) -> None:
    xen = FakeXen(tmp_path, domid=3)
    xen.fault("xs_directory", errno.EACCES)
    (xen.root / "sys/module/xen_gntdev/parameters/limit").unlink()
    host = xen.host()
    host.open()
    assert (host.domid(), host.domains()) == (3, ())
    assert (host.caps.can_attach, host.caps.domain_list, host.caps.max_map_pages) == (False, False, 1024)
    host.close()
    attach = line(host, "attach without a toolstack")
    assert (attach.ok, attach.needed) == (False, False)
    xen.fault("xs_write", errno.EACCES)
    rights = line(host, "backend rights")
    assert (rights.ok, rights.needed) == (False, True)
    assert "/local/domain/3/backend may not be written" in rights.seen
    assert xen.open_handles() == 0


def test_trying_our_rights_writes_nothing(xen: FakeXen, host: XenHost) -> None:
    assert line(host, "backend rights").ok
    assert host.list("/local/domain/0/backend") == ()


def test_an_old_library_and_an_old_kernel_copy_nothing(tmp_path: Path) -> None:
    for xen in (FakeXen(tmp_path / "a", copy=False), FakeXen(tmp_path / "b")):
        xen.fault("xengnttab_grant_copy", errno.ENOTTY)
        host = xen.host()
        host.open()
        assert not host.caps.grant_copy
        grants = host.grants(5)
        assert grants.ops.copy == 0
        grants.close()
        copy = line(host, "grant copy")
        assert (copy.ok, copy.needed) == (False, False)
        host.close()
        assert xen.open_handles() == 0


def test_kernel_blkback_and_a_small_limit_are_warnings(xen: FakeXen) -> None:
    (xen.root / "sys/module/xen_blkback").mkdir(parents=True)
    (xen.root / "sys/module/xen_gntdev/parameters/limit").write_text("64\n")
    for name in ("kernel xen-blkback", "grant limit"):
        warning = line(xen.host(), name)
        assert (warning.ok, warning.needed, bool(warning.fix)) == (False, False, True)
    xen.host().open()


def test_domains(xen: FakeXen, host: XenHost) -> None:
    for domid, name in ((5, "g1"), (12, ""), (9, "dead")):
        if name:
            xen.write(f"/local/domain/{domid}/name", name)
        xen.write(f"/local/domain/{domid}/vm", f"/vm/{domid}")
    for domid in (5, 12):
        xen.write(f"/introduced/{domid}", "")
    assert host.domains() == (
        Domain(0, "Domain-0", ""),
        Domain(5, "g1", "/vm/5"),
        Domain(12, "Domain-12", "/vm/12"),
    )


def test_mapping(xen: FakeXen, host: XenHost) -> None:
    for ref in (8, 9):
        xen.grant(ref, 5)
    xen.grant(10, 5, writable=False)
    grants = host.grants(5)
    address = grants.map([9, 8], writable=True)
    ctypes.memmove(address, b"nine", 4)
    other = grants.map([9], writable=False)
    assert ctypes.string_at(other, 4) == b"nine"
    read_only = grants.map([10], writable=False)
    assert xen.count("mapped") == 4
    with pytest.raises(HostError, match="grant 10 of domain 5 cannot be mapped: Invalid argument; the guest"):
        grants.map([10], writable=True)
    with pytest.raises(HostError, match="grant 8 11 of domain 5"):
        grants.map([8, 11], writable=True)
    stranger = host.grants(6)
    with pytest.raises(HostError, match=r"grant 8 8 8 8 8 8 8 8 ... \(12 in all\) of domain 6"):
        stranger.map([8] * 12, writable=True)
    stranger.close()
    assert xen.count("mapped") == 4
    for start, count in ((address, 2), (other, 1), (read_only, 1)):
        grants.unmap(start, count)
    assert xen.count("mapped") == 0
    xen.fault("xengnttab_unmap", errno.EINVAL)
    with pytest.raises(HostError, match="2 pages of domain 5 at 0x"):
        grants.unmap(address, 2)
    grants.close()
    grants.close()
    with pytest.raises(HostError, match="is closed"):
        grants.map([8], writable=True)
    with pytest.raises(HostError, match="is closed"):
        grants.unmap(address, 2)
    xen.fault("xengnttab_open", errno.EMFILE)
    with pytest.raises(HostError, match="grants of domain 6 cannot be reached: Too many open files"):
        host.grants(6)


@pytest.mark.parametrize("refs", [[], [-1], [1 << 32]])
def test_no_references_at_all(host: XenHost, refs: list[int]) -> None:
    grants = host.grants(5)
    with pytest.raises(HostError, match="is no list of references"):
        grants.map(refs, writable=True)
    grants.close()


def test_grant_functions_by_address(xen: FakeXen, host: XenHost) -> None:
    xen.grant(8, 5)
    grants = host.grants(5)
    ops = grants.ops
    mapping = ffi.cast("void *(*)(void *, uint32_t, uint32_t, uint32_t *, int)", ops.map)
    handle = ffi.cast("void *", ops.handle)
    address = mapping(handle, 1, 5, ffi.new("uint32_t[]", [8]), 3)
    assert address
    assert mapping(handle, 1, 5, ffi.new("uint32_t[]", [9]), 3) == ffi.NULL
    assert ffi.cast("int (*)(void *, void *, uint32_t)", ops.unmap)(handle, address, 1) == 0
    assert ffi.cast("int (*)(void *, uint32_t, void *)", ops.copy)(handle, 0, ffi.NULL) == 0
    grants.close()


def test_a_channel_can_be_slept_on_and_poked(xen: FakeXen, host: XenHost) -> None:
    xen.offer(4, domid=5)
    channel = host.bind(5, 4)
    ops = channel.ops
    handle = ffi.cast("void *", ops.handle)
    wait = ffi.cast("int (*)(void *)", ops.wait)
    xen.kick(4)
    assert wait(handle) == ops.port
    assert ffi.cast("int (*)(void *, uint32_t)", ops.notify)(handle, ops.poke_port) == 0
    poked = wait(handle)
    assert poked not in (-1, ops.port)
    assert ffi.cast("int (*)(void *, uint32_t)", ops.unmask)(handle, poked) == 0
    assert xen.notified(4) == 0
    channel.close()
    assert not xen.bound(4)


def test_a_channel(xen: FakeXen, host: XenHost) -> None:
    """Where there is no channel to ourselves, its ring polls."""
    xen.fault("xenevtchn_bind_unbound_port", errno.ENOSPC)
    xen.offer(4, domid=5)
    channel = host.bind(5, 4)
    ops = channel.ops
    handle = ffi.cast("void *", ops.handle)
    assert (ops.wait, ops.poke_port) == (0, 0)
    pending = ffi.cast("int (*)(void *)", ops.pending)
    assert xen.bound(4)
    assert pending(handle) == -1
    assert ffi.errno == errno.EAGAIN
    xen.kick(4)
    poll = select.poll()
    poll.register(ops.fd, select.POLLIN)
    assert poll.poll(1000)
    assert pending(handle) == ops.port
    assert ffi.cast("int (*)(void *, uint32_t)", ops.unmask)(handle, ops.port) == 0
    assert ffi.cast("int (*)(void *, uint32_t)", ops.notify)(handle, ops.port) == 0
    assert xen.notified(4) == 1
    with pytest.raises(HostError, match="event channel 4 of domain 5 cannot be bound: Invalid argument; another"):
        host.bind(5, 4)
    channel.close()
    channel.close()
    assert not xen.bound(4)
    host.bind(5, 4).close()


@pytest.mark.parametrize(("domid", "port"), [(6, 4), (5, 5), (5, 0), (5, -1), (5, 1 << 31)])
def test_channels_that_are_not_ours(xen: FakeXen, host: XenHost, domid: int, port: int) -> None:
    xen.offer(4, domid=5)
    with pytest.raises(HostError, match=f"event channel {port} of domain {domid} "):
        host.bind(domid, port)
    xen.fault("xenevtchn_open", errno.EACCES)
    with pytest.raises(
        HostError, match="event channel 4 of domain 5 cannot be reached: Permission denied; run as root"
    ):
        host.bind(5, 4)


def test_nothing_works_on_a_closed_host(xen: FakeXen) -> None:
    host = xen.host()
    for call in (host.domid, host.domains, lambda: host.grants(1), lambda: host.bind(1, 1), lambda: host.wait(0)):
        with pytest.raises(HostError, match="not open"):
            call()
    host.open()
    host.close()
    host.close()
    with pytest.raises(HostError, match="not open"):
        host.read("/a")
    assert xen.open_handles() == 0
