# SPDX-License-Identifier: MIT
"""Linux's block frontend.

    backend says     we do, in our state
    InitWait         Initialising: publish rings and ports, go to Initialised
    Connected        before: connect, go to Connected; when connected: the size may have changed
    Closing, Closed  give the disk up, go to Closed (see ``GuestOptions.closing``)

A kernel that boots in a living domain (kexec, kdump) first takes devices it finds Connected or Closed through a close
of their own. Source: drivers/block/xen-blkfront.c, drivers/xen/xenbus/xenbus_probe_frontend.c (xenbus_reset_state).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from usblkback_tui.engine.host.sim.guest.disk import Disk, Manners
from usblkback_tui.engine.host.sim.guest.frontends.base import (
    Frontend,
    Part,
    Place,
    homes,
    port_key,
    ring_keys,
)
from usblkback_tui.engine.host.sim.guest.frontends.steps import (
    Failed,
    Heard,
    Published,
    Read,
    Resized,
    Say,
    Script,
    Stop,
    What,
    Write,
)
from usblkback_tui.engine.host.sim.load import GuestOptions
from usblkback_tui.protocol.blkif import MAX_QUEUES, MAX_RING_PAGE_ORDER, NATIVE_PROTOCOL, SEGMENTS_DIRECT
from usblkback_tui.protocol.states import XenbusState as S


class Linux(Frontend):
    """xen-blkfront, with the module parameters of ``GuestOptions``."""

    name = "linux"
    probes = frozenset({S.INITIALISING, S.CONNECTED, S.CLOSED})

    def __init__(self, place: Place, options: GuestOptions) -> None:
        super().__init__(place, options)
        persistent = {"persistent"} if options.persistent else set[str]()
        self.knows = frozenset({"flush", "barrier", "discard", "indirect"} | persistent)  # type: ignore[misc]
        self._published = False
        self._disk: Disk | None = None
        self._leaving: S | None = None
        self._ending = False

    @property
    def manners(self) -> Manners:
        return Manners(protocol=self.options.protocol or NATIVE_PROTOCOL)

    def life(self) -> Script:
        yield from self._reset()
        while not (self._ending and self.state is S.CLOSED):
            heard = yield from self.listen()
            try:
                yield from self._hear(heard)
            except Failed as error:
                yield from self._fatal(str(error))

    def _hear(self, heard: Heard) -> Script:
        if heard.what is What.BACKEND:
            yield from self._follow(heard)
        elif heard.what is What.ENDED:
            if self._leaving is not None and not heard.busy:
                yield from self._left()
        else:
            self._leaving, self._ending = S.CLOSING, True
            if heard.busy:
                yield Stop()
            else:
                yield from self._left()

    def _follow(self, heard: Heard) -> Script:
        """blkback_changed."""
        backend = heard.backend
        if backend is S.INIT_WAIT and self.state is S.INITIALISING:
            yield from self._publish()
        elif backend is S.CONNECTED:
            if self.state is S.INITIALISING:
                yield from self._publish()
            if self.state is S.INITIALISED:
                yield from self._connect()
            elif self.state is S.CONNECTED:
                yield from self._resize()
        elif backend in (S.CLOSING, S.CLOSED) and self.state is not S.CLOSED:
            yield from self._close(heard)

    def _reset(self) -> Script:
        """xenbus_reset_frontend; the real one gives up each wait after 5 seconds."""
        found = S.parse((yield Read(f"{self.place.front}/state")))
        if found not in (S.CONNECTED, S.CLOSED):
            return
        backend = yield from self.wait(lambda state: True)
        if backend is S.CONNECTED:
            yield from self.switch(S.CLOSING)
            backend = yield from self.wait(lambda state: state is S.CLOSING)
        if backend is S.CLOSING:
            yield from self.switch(S.CLOSED)
            backend = yield from self.wait(lambda state: state is S.CLOSED)
        if backend is S.CLOSED:
            yield from self.switch(S.INITIALISING)
            yield from self.wait(lambda state: state is S.INIT_WAIT)

    def _publish(self) -> Script:
        """talk_to_blkback."""
        options = self.options
        if options.max_queues > options.vcpus:
            yield Say(f"xen_blkfront: Invalid max_queues ({options.max_queues}), will use default max: {options.vcpus}")
        ours = min(options.max_queues, options.vcpus, MAX_QUEUES)
        count = max(min(ours, (yield from self.number("multi-queue-max-queues", 1))), 1)
        queues = yield from self.make_rings(count, (yield from self._pages()))
        self._published = True
        yield from self.switch(S.INITIALISED, self._transport(queues))

    def _pages(self) -> Part[int]:
        """Pages of each ring, a power of two, by the scheme of ``ring_keys``.  Source: blkif.h, notes 1 to 3."""
        order = min(self.options.ring_order, MAX_RING_PAGE_ORDER)
        if self.options.ring_keys == "pages":
            offered = max((yield from self.number("max-ring-pages", 1)), 1)
            return 1 << min(order, offered.bit_length() - 1)
        return 1 << min(order, (yield from self.number("max-ring-page-order")))

    def _transport(self, queues: Sequence[Published]) -> dict[str, str]:
        keys: dict[str, str] = {}
        pages = len(queues[0].ring_refs)
        if pages > 1 and self.options.ring_keys == "pages":
            keys["num-ring-pages"] = str(pages)
        elif pages > 1:
            keys["ring-page-order"] = str(pages.bit_length() - 1)
        if len(queues) > 1:
            keys["multi-queue-num-queues"] = str(len(queues))
        for queue, home in zip(queues, homes(queues), strict=True):
            keys |= ring_keys(queue, home) | port_key(queue, home)
        if self.options.protocol:
            keys["protocol"] = self.options.protocol
        keys["feature-persistent"] = str(int(self.options.persistent))
        return keys

    def _connect(self) -> Script:
        """blkfront_connect."""
        if not self._published:
            return
        self._disk = disk = yield from self.read_disk(segments=max(self.options.max_segments, SEGMENTS_DIRECT))
        yield from self.use(disk, S.CONNECTED)

    def _resize(self) -> Script:
        """Connected was written again: the size is another one."""
        sectors = yield from self.number("sectors")
        if self._disk is None or sectors in (0, self._disk.sectors):
            return
        yield Say(f"linux: vbd {self.place.devid}: setting capacity to {sectors}")
        self._disk = replace(self._disk, sectors=sectors)
        yield Resized(sectors)

    def _close(self, heard: Heard) -> Script:
        """blkfront_closing."""
        how = self.options.closing
        if self.state is S.CLOSING and self._leaving is None and heard.backend is S.CLOSING:
            return
        if heard.busy and heard.backend is S.CLOSING and how != "dead":
            if self._leaving is None and how == "busy":
                yield from self._error("16 Device in use; refusing to close")
                yield from self.switch(S.CLOSING)
            self._leaving = S.CLOSED
            if how == "unmounted":
                yield Stop()
            return
        if heard.busy:
            yield Stop()
        self._leaving = self._leaving or S.CLOSED
        yield from self.switch(S.CLOSED)

    def _left(self) -> Script:
        """The load is over and the disk was to be left: say so."""
        if self.state is not S.CLOSED and self._leaving is not None:
            yield from self.switch(self._leaving)

    def _fatal(self, text: str) -> Script:
        """xenbus_dev_fatal."""
        self.failure = text
        yield from self._error(f"22 {text}")
        yield from self.switch(S.CLOSING)

    def _error(self, text: str) -> Script:
        """xenbus_dev_error."""
        yield Say(f"vbd vbd-{self.place.devid}: {text}")
        yield Write({f"error/{self.place.front}/error": text})
