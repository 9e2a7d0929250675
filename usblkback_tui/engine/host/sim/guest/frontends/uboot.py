# SPDX-License-Identifier: MIT
"""U-Boot's pvblock: mini-os' handshake, one request at a time, whose answer it looks for without waiting for events.

Positions are in units of sector-size, and a disk has 1 TiB at most because numbers are read as C's int. It is for
arm64, whose request layout is that of x86_64. Source: u-boot, drivers/xen/pvblock.c.
"""

from __future__ import annotations

from dataclasses import replace

from usblkback_tui.engine.host.sim.guest.disk import Disk, Manners
from usblkback_tui.engine.host.sim.guest.frontends.base import Part
from usblkback_tui.engine.host.sim.guest.frontends.minios import MiniOs
from usblkback_tui.engine.host.sim.guest.frontends.steps import Failed
from usblkback_tui.protocol.blkif import SECTOR

INT_MAX = 0x7FFF_FFFF


class UBoot(MiniOs):
    """Strict: a backend that is anything but Connected when it moves on is no backend."""

    name = "uboot"
    protocol = "arm-abi"

    @property
    def manners(self) -> Manners:
        return replace(super().manners, depth=1, yields=True)

    def connect(self) -> Part[Disk]:
        disk = yield from super().connect()
        unit = max((yield from self.number("sector-size")) // SECTOR, 1)
        if disk.sectors > INT_MAX:
            raise Failed(f"{disk.sectors} sectors are more than an int holds")
        return replace(disk, unit=unit, sectors=disk.sectors * unit)
