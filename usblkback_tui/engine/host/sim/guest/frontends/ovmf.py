# SPDX-License-Identifier: MIT
"""OVMF's XenPvBlkDxe: mini-os' handshake with a stricter idea of waiting.

A state beyond the one it waits for is a failure, so a backend must show it Closing before Closed. After that it takes
the device for handed on as soon as the backend is at or before InitWait, or not yet gone from Closed. Source: edk2,
OvmfPkg/XenPvBlkDxe/BlockFront.c (XenPvBlkWaitForBackendState, XenPvBlockFrontInitialization,
XenPvBlockFrontShutdown).
"""

from __future__ import annotations

from dataclasses import replace

from usblkback_tui.engine.host.sim.guest.disk import Disk, Manners
from usblkback_tui.engine.host.sim.guest.frontends.base import Part
from usblkback_tui.engine.host.sim.guest.frontends.minios import MiniOs
from usblkback_tui.engine.host.sim.guest.frontends.steps import Failed, FreeRings, Say, Script
from usblkback_tui.protocol.blkif import SECTOR
from usblkback_tui.protocol.states import XenbusState as S


class Ovmf(MiniOs):
    """UEFI firmware of HVM and PVH guests; its requests are made one after another."""

    name = "ovmf"

    @property
    def manners(self) -> Manners:
        return replace(super().manners, id_base=0x7E5C_A018, id_step=0x60, depth=1, yields=True)

    def connect(self) -> Part[Disk]:
        (queue,) = yield from self.make_rings()
        keys = {"ring-ref": str(queue.ring_refs[0]), "event-channel": str(queue.port), "protocol": self.protocol}
        yield from self.switch(S.CONNECTED, keys)
        try:
            yield from self.await_backend(S.CONNECTED)
            disk = yield from self.read_disk(("info", "sectors", "sector-size"))
            if (yield from self.number("sector-size")) % SECTOR:
                raise Failed("unsupported sector-size, it must be a multiple of 512")
        except Failed:
            yield from self.erase(*keys)
            raise
        return disk

    def await_backend(self, wanted: S) -> Script:
        found = yield from self.wait(lambda state: state >= wanted or state is S.UNKNOWN)
        if found is not wanted:
            raise Failed(f"waiting for the backend to be {wanted.word} it was {found.word}")

    def leave(self) -> Script:
        """XenPvBlockFrontShutdown."""
        yield from self.sync()
        try:
            yield from self.switch(S.CLOSING)
            yield from self.await_backend(S.CLOSING)
            yield from self.switch(S.CLOSED)
            yield from self.await_backend(S.CLOSED)
            yield from self.switch(S.INITIALISING)
            yield from self.wait(lambda state: state <= S.INIT_WAIT or state >= S.CLOSED)
        except Failed as error:
            self.failure = str(error)
            yield Say(f"XenPvBlk: error while {error}")
        yield from self.erase("ring-ref", "event-channel", "protocol")
        yield FreeRings()
