# SPDX-License-Identifier: MIT
"""xenvbd, the block frontend of the Xen project's Windows drivers, which us-blkback calls winvbd.

It closes before it connects, to end whatever was there. All its waits spin on a processor with interrupts off and
have no timeout: a backend that does not move freezes the guest. Source: win-xenvbd, src/xenvbd/frontend.c
(FrontendClose, FrontendPrepare, FrontendConnect, __CheckBackendForEject), ring.c (RingStoreWrite, __PrepareRequest).
"""

from __future__ import annotations

from dataclasses import replace

from usblkback_tui.engine.host.sim.guest.disk import Disk, Manners
from usblkback_tui.engine.host.sim.guest.frontends.base import ANY, Frontend, Part, homes, port_key, ring_keys
from usblkback_tui.engine.host.sim.guest.frontends.steps import (
    Failed,
    FreeRings,
    Heard,
    Resized,
    Say,
    Script,
    What,
    Write,
)
from usblkback_tui.protocol.blkif import MAX_RING_PAGE_ORDER, SECTOR
from usblkback_tui.protocol.states import XenbusState as S

MAX_SEGMENTS = 256
"""It takes what is offered; a request of Windows' storage stack has no more than 1 MiB."""


class Winvbd(Frontend):
    """Never persistent; what it writes from and its lists of segments are granted for reading only."""

    name = "winvbd"
    probes = ANY
    spins = True
    watches = ""
    knows = frozenset({"flush", "barrier", "discard", "indirect"})

    @property
    def manners(self) -> Manners:
        return Manners(id_base=0xFFFF_BC81_0000_0000, id_step=0x1A0, read_only_lists=True)

    def life(self) -> Script:
        yield from self._close()
        try:
            yield from self._prepare()
            disk = yield from self._connect()
        except Failed:
            yield FreeRings()
            yield from self._close()
            raise
        while True:
            heard = yield from self.listen()
            if heard.what is What.BACKEND:
                disk = yield from self._resize(disk)
            if heard.what is What.LEAVE or (yield from self._to_eject(heard)):
                break
        yield from self.drain()
        yield from self._close()
        yield FreeRings()

    def _close(self) -> Script:
        """Closing until the backend is Closing or Closed, then Closed until it is Closed."""
        back = yield from self.wait(lambda state: state is not S.INITIALISING)
        while back not in (S.CLOSING, S.CLOSED):
            back = yield from self._ask(S.CLOSING, back)
        while back is not S.CLOSED:
            back = yield from self._ask(S.CLOSED, back)

    def _ask(self, state: S, back: S) -> Part[S]:
        """Write ours and wait until the backend's is another than it was."""
        if back is S.UNKNOWN:
            raise Failed("the backend's state cannot be read")
        yield from self.switch(state)
        return (yield from self.wait(lambda now: now is not back))

    def _prepare(self) -> Script:
        """From Closed to InitWait; any other state is a failure."""
        target = f"data/scsi/target/{self.place.devid & 0xFF}"
        yield Write({f"{target}/frontend": self.place.front, f"{target}/device": str(self.place.devid)})
        yield from self.switch(S.INITIALISING)
        back = yield from self.wait(lambda state: state not in (S.CLOSED, S.INITIALISING))
        if back is not S.INIT_WAIT:
            raise Failed(f"the backend went to {back.word} instead of InitWait")

    def _connect(self) -> Part[Disk]:
        """Rings, then everything in one transaction, then Initialised by itself."""
        count = min(self.options.vcpus, max((yield from self.number("multi-queue-max-queues", 1)), 1))
        order = min((yield from self.number("max-ring-page-order")), MAX_RING_PAGE_ORDER)
        queues = yield from self.make_rings(count, 1 << order)
        keys: dict[str, str] = {}
        for queue, home in zip(queues, homes(queues), strict=True):
            keys |= port_key(queue, home) | ring_keys(queue, home)
        keys["multi-queue-num-queues"] = str(count)
        if order:
            keys["ring-page-order"] = str(order)
        keys |= {"protocol": "x86_64-abi", "target-id": str(self.place.devid & 0xFF)}
        keys |= dict.fromkeys(("feature-surprise-remove", "feature-online-resize", "feature-large-sector-size"), "1")
        yield from self.write(keys)
        yield from self.switch(S.INITIALISED)
        back = yield from self.wait(lambda state: state not in (S.INITIALISING, S.INIT_WAIT, S.INITIALISED))
        if back is not S.CONNECTED:
            raise Failed(f"the backend went to {back.word} instead of Connected")
        disk = yield from self._disk()
        yield from self.use(disk, S.CONNECTED)
        return disk

    def _disk(self) -> Part[Disk]:
        """All positions are in units of sector-size, where everybody else counts 512 bytes."""
        disk = yield from self.read_disk(("sectors", "sector-size"), segments=MAX_SEGMENTS)
        info = yield from self.number("info")
        unit = max((yield from self.number("sector-size")) // SECTOR, 1)
        enabled = yield from self.number("discard-enable", 1)
        return replace(
            disk,
            info=type(disk.info)(info & 7),
            unit=unit,
            sectors=disk.sectors * unit,
            discard=disk.discard and bool(enabled),
            secure=False,
        )

    def _resize(self, disk: Disk) -> Part[Disk]:
        """Everything below the backend's directory is watched, so the size may change at any time."""
        sectors = (yield from self.number("sectors")) * disk.unit
        if sectors in (0, disk.sectors):
            return disk
        yield Say(f"winvbd: vbd {self.place.devid}: {sectors} sectors")
        yield Resized(sectors)
        return replace(disk, sectors=sectors)

    def _to_eject(self, heard: Heard) -> Part[bool]:
        """The toolstack takes it away: Windows is asked to eject the disk, and agrees."""
        if heard.what is not What.BACKEND or heard.backend is not S.CLOSING:
            return False
        if (yield from self.number("online", 1)):
            return False
        yield from self.write({"ejected": "1"})
        return True
