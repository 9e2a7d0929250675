# SPDX-License-Identifier: MIT
"""Grants are checked, pinned, counted and refused as Xen does it."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Iterator

import pytest

from usblkback_tui.engine.host.seam import PAGE_SIZE, Grants, HostError
from usblkback_tui.engine.host.sim import Hypervisor, SimHost
from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.domains import GRANT_PAGES

PERMIT, READ_ONLY, READING, WRITING = 1, 4, 8, 16
FRAME, OTHER = 100, 200
LAST_REF = GRANT_PAGES * PAGE_SIZE // 8 - 1


class Guest:
    """A domain's own view of its memory."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.domain = hypervisor.create("guest", memory_mib=4)
        self.domid = self.domain.domid
        self.ram = mmap.mmap(self.domain.memory, 4 << 20)

    def grant(self, ref: int, frame: int = FRAME, flags: int = PERMIT, domid: int = 0) -> None:
        self.ram[ref * 8 : ref * 8 + 8] = struct.pack("<HHI", flags, domid, frame)

    def flags(self, ref: int) -> int:
        return int(struct.unpack_from("<H", self.ram, ref * 8)[0])

    def page(self, frame: int) -> slice:
        return slice(frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE)


@pytest.fixture
def guest(hypervisor: Hypervisor) -> Guest:
    return Guest(hypervisor)


@pytest.fixture
def grants(host: SimHost, guest: Guest) -> Iterator[Grants]:
    grants = host.grants(guest.domid)
    yield grants
    grants.close()


def at(address: int, size: int = PAGE_SIZE) -> ctypes.Array[ctypes.c_char]:
    return (ctypes.c_char * size).from_address(address)


def test_pages_are_side_by_side_and_shared(guest: Guest, grants: Grants) -> None:
    guest.grant(8, FRAME)
    guest.grant(9, OTHER)
    address = grants.map([9, 8, 9], writable=True)
    guest.ram[guest.page(OTHER)] = b"o" * PAGE_SIZE
    guest.ram[guest.page(FRAME)] = b"f" * PAGE_SIZE
    assert at(address, 3 * PAGE_SIZE).raw == b"o" * PAGE_SIZE + b"f" * PAGE_SIZE + b"o" * PAGE_SIZE
    at(address + PAGE_SIZE)[0] = b"!"
    assert guest.ram[FRAME * PAGE_SIZE] == ord("!")
    grants.unmap(address, 3)


def test_the_guest_sees_that_a_page_is_in_use_until_the_last_unmap(guest: Guest, grants: Grants) -> None:
    guest.grant(8)
    reader = grants.map([8], writable=False)
    assert guest.flags(8) == PERMIT | READING
    writer = grants.map([8], writable=True)
    again = grants.map([8, 8], writable=True)
    assert guest.flags(8) == PERMIT | READING | WRITING
    assert guest.domain.mapped == 4
    grants.unmap(writer, 1)
    assert guest.flags(8) == PERMIT | READING | WRITING
    grants.unmap(again, 2)
    assert guest.flags(8) == PERMIT | READING
    grants.unmap(reader, 1)
    assert guest.flags(8) == PERMIT
    assert (guest.domain.mapped, guest.domain.maps) == (0, 4)


def test_a_read_only_map_cannot_be_written(guest: Guest, grants: Grants) -> None:
    guest.grant(8, flags=PERMIT | READ_ONLY)
    address = grants.map([8], writable=False)
    with open("/proc/self/maps") as maps:
        line = next(line for line in maps if line.startswith(f"{address:08x}-"))
    assert line.split()[1] == "r--s"
    grants.unmap(address, 1)


@pytest.mark.parametrize(
    ("flags", "domid", "frame", "writable", "why"),
    [
        (0, 0, FRAME, False, "not granted"),
        (2, 0, FRAME, False, "not granted"),
        (3, 0, FRAME, False, "not granted"),
        (PERMIT, 7, FRAME, False, "not granted"),
        (PERMIT | READ_ONLY, 0, FRAME, True, "read-only"),
        (PERMIT, 0, 1024, False, "frame"),
        (PERMIT, 0, 0xFFFFFFFF, True, "frame"),
    ],
)
def test_refusals_leave_the_entry_as_it_was(
    guest: Guest, grants: Grants, flags: int, domid: int, frame: int, writable: bool, why: str
) -> None:
    guest.grant(7)
    guest.grant(8, frame, flags, domid)
    with pytest.raises(HostError, match=f"grant 8 .*{why}"):
        grants.map([7, 8], writable=writable)
    assert guest.flags(8) == flags
    assert guest.flags(7) == PERMIT, "all or none"
    assert guest.domain.mapped == 0


def test_references_beyond_the_table(guest: Guest, grants: Grants) -> None:
    guest.grant(LAST_REF)
    grants.unmap(grants.map([LAST_REF], writable=True), 1)
    for ref in (LAST_REF + 1, 0xFFFFFFFF):
        with pytest.raises(HostError, match="beyond the grant table"):
            grants.map([ref], writable=False)


def test_nothing_to_map(grants: Grants) -> None:
    with pytest.raises(HostError):
        grants.map([], writable=False)


def test_a_rewritten_entry_does_not_move_a_mapped_page(guest: Guest, grants: Grants) -> None:
    guest.grant(8, FRAME)
    first = grants.map([8], writable=False)
    guest.grant(8, OTHER, PERMIT | READING)
    second = grants.map([8], writable=False)
    guest.ram[guest.page(FRAME)] = b"f" * PAGE_SIZE
    assert at(second).raw == b"f" * PAGE_SIZE
    grants.unmap(first, 1)
    grants.unmap(second, 1)
    third = grants.map([8], writable=False)
    assert at(third).raw == bytes(PAGE_SIZE)
    grants.unmap(third, 1)


def test_only_whole_maps_are_unmapped(guest: Guest, grants: Grants) -> None:
    guest.grant(8)
    guest.grant(9)
    address = grants.map([8, 9], writable=False)
    for start, count in ((address, 1), (address + PAGE_SIZE, 1), (address, 3), (0x1000, 1)):
        with pytest.raises(HostError):
            grants.unmap(start, count)
    grants.unmap(address, 2)
    with pytest.raises(HostError):
        grants.unmap(address, 2)


def test_a_closed_handle(host: SimHost, guest: Guest) -> None:
    guest.grant(8)
    grants = host.grants(guest.domid)
    address = grants.map([8], writable=False)
    grants.close()
    grants.close()
    assert guest.domain.mapped == 1, "a page that was not unmapped is leaked, and seen to be"
    assert at(address).raw == bytes(PAGE_SIZE)
    with pytest.raises(HostError):
        grants.map([8], writable=False)
    with pytest.raises(HostError):
        grants.unmap(address, 1)


def test_a_domain_that_is_not_there(host: SimHost) -> None:
    with pytest.raises(HostError, match="no domain 99"):
        host.grants(99)


def test_pages_of_a_destroyed_domain(host: SimHost, hypervisor: Hypervisor, guest: Guest, grants: Grants) -> None:
    guest.grant(8)
    guest.ram[guest.page(FRAME)] = b"f" * PAGE_SIZE
    address = grants.map([8], writable=True)
    hypervisor.destroy(guest.domid)
    guest.ram.close()
    assert at(address).raw == b"f" * PAGE_SIZE
    with pytest.raises(HostError, match="no such domain"):
        grants.map([8], writable=True)
    assert hypervisor.mapped == 1
    grants.unmap(address, 1)
    assert hypervisor.mapped == 0
    with pytest.raises(HostError):
        host.grants(guest.domid)


class TestCopy:
    SOURCE, DEST = 1, 2

    def copy(
        self, grants: Grants, ref: int, *, flags: int, domid: int, data: bytes = b"", offset: int = 0, length: int = 0
    ) -> tuple[int, bytes]:
        """The segment's status and the local side afterwards."""
        local = ffi.new("char[]", data or bytes(PAGE_SIZE))
        segment = ffi.new("sim_copy_segment[1]")
        far, near = (
            (segment[0].source, segment[0].dest) if flags & self.SOURCE else (segment[0].dest, segment[0].source)
        )
        far.foreign.ref, far.foreign.offset, far.foreign.domid = ref, offset, domid
        near.virt = local
        segment[0].len, segment[0].flags = length or len(data) or PAGE_SIZE, flags
        assert lib.sim_grants_copy(ffi.cast("void *", grants.ops.handle), 1, segment) == 0
        return segment[0].status, bytes(ffi.buffer(local, len(data) or PAGE_SIZE))

    def test_both_ways(self, guest: Guest, grants: Grants) -> None:
        guest.grant(8)
        assert self.copy(grants, 8, flags=self.DEST, domid=guest.domid, data=b"written", offset=5)[0] == 0
        assert guest.ram[FRAME * PAGE_SIZE + 5 :][:7] == b"written"
        status, data = self.copy(grants, 8, flags=self.SOURCE, domid=guest.domid, offset=5, length=7)
        assert (status, data[:7]) == (0, b"written")
        assert guest.flags(8) == PERMIT
        assert (guest.domain.mapped, guest.domain.copies) == (0, 2)

    def test_a_read_only_grant_is_a_source_only(self, guest: Guest, grants: Grants) -> None:
        guest.grant(8, flags=PERMIT | READ_ONLY)
        assert self.copy(grants, 8, flags=self.SOURCE, domid=guest.domid)[0] == 0
        assert self.copy(grants, 8, flags=self.DEST, domid=guest.domid)[0] == lib.GNTST_general_error

    @pytest.mark.parametrize("flags", [0, 3])
    def test_one_side_is_granted(self, guest: Guest, grants: Grants, flags: int) -> None:
        guest.grant(8)
        assert self.copy(grants, 8, flags=flags, domid=guest.domid)[0] == lib.GNTST_bad_copy_arg

    def test_refusals(self, hypervisor: Hypervisor, guest: Guest, grants: Grants) -> None:
        guest.grant(8)
        read = self.SOURCE
        assert self.copy(grants, 8, flags=read, domid=guest.domid, offset=1)[0] == lib.GNTST_bad_copy_arg
        assert self.copy(grants, 8, flags=read, domid=guest.domid + 1)[0] == lib.GNTST_bad_domain
        assert self.copy(grants, 9, flags=read, domid=guest.domid)[0] == lib.GNTST_general_error
        assert self.copy(grants, LAST_REF + 1, flags=read, domid=guest.domid)[0] == lib.GNTST_bad_gntref
        hypervisor.destroy(guest.domid)
        assert self.copy(grants, 8, flags=read, domid=guest.domid)[0] == lib.GNTST_bad_domain

    def test_a_host_without_it(self, hypervisor: Hypervisor, guest: Guest) -> None:
        host = SimHost(hypervisor, grant_copy=False)
        assert not host.caps.grant_copy
        grants = host.grants(guest.domid)
        assert grants.ops.copy == 0
        grants.close()
