# SPDX-License-Identifier: MIT
"""What is held while a frontend is connected: for each queue its ring pages, its event channel, its grants and its ring
server, and the disk they share.

Everything is acquired in one place and given back in one place, in reverse order; a step that fails gives back exactly
what the earlier ones took.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass

from usblkback_tui.engine.datapath.ring import (
    GrantBudget,
    GrantMode,
    Indices,
    IoEngine,
    RingConfig,
    RingServer,
    Vbd,
    VbdConfig,
)
from usblkback_tui.engine.host.seam import Channel, Grants, Host, HostError
from usblkback_tui.engine.image.raw import RawImage
from usblkback_tui.engine.latency import difference_of, percentile, total
from usblkback_tui.engine.settings import EngineSettings
from usblkback_tui.engine.snapshot import Counters, Latency, Limits, RingView
from usblkback_tui.engine.totals import add_counters, add_latency
from usblkback_tui.protocol.backend import Offer
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.frontend import FrontendOffer, QueueOffer

TRIM_SECONDS = 5.0
"""How often :meth:`Connection.trim` is called."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a disk is served with, whoever connects."""

    settings: EngineSettings
    """With the disk's own options in place of the engine's."""
    limits: Limits
    offer: Offer
    budget: GrantBudget


class Queue:
    """One ring that is served."""

    def __init__(self, index: int, offer: QueueOffer, ring: RingServer) -> None:
        self.index = index
        self.offer = offer
        self.ring = ring
        self._last: Indices | None = None
        self._moved = 0.0

    def view(self) -> RingView:
        """The ring as people see it."""
        counters, indices = self.ring.counters_now()
        if indices != self._last:
            self._last, self._moved = indices, time.time()
        config = self.ring.config
        return RingView(
            index=self.index,
            slots=indices.slots,
            pages=config.ring_pages,
            protocol=config.protocol,
            grant_mode=config.grant_mode.value,
            io_engine=self.ring.io_engine.value,
            event_channel=self.offer.event_channel,
            req_prod=indices.req_prod,
            req_cons=indices.req_cons,
            rsp_prod=indices.rsp_prod,
            req_event=indices.req_event,
            rsp_event=indices.rsp_event,
            counters=counters,
            moved=self._moved,
        )


class Connection:
    """All queues of a frontend.  Raises UserError when a ring or an event channel cannot be had."""

    def __init__(self, host: Host, domid: int, frontend: FrontendOffer, image: RawImage, terms: Terms) -> None:
        offer = terms.offer
        self._host, self._domid, self._terms = host, domid, terms
        self._trims = terms.settings.persistent_idle_seconds > 0
        self._noted = Latency()
        self.recent_p99 = 0.0
        """Nanoseconds that the slowest of a hundred requests took between the last two calls of :meth:`note`."""
        self.vbd = Vbd(
            VbdConfig(
                image_fd=image.fd,
                sectors=offer.sectors,
                readonly=offer.readonly,
                direct=image.direct,
                discard=offer.discard,
                secure_discard=offer.secure_discard,
                discard_granularity=offer.discard_granularity,
                discard_alignment=offer.discard_alignment,
            )
        )
        with ExitStack() as undo:
            self.queues = tuple(
                self._queue(undo, index, queue, frontend) for index, queue in enumerate(frontend.queues)
            )
            self._undo = undo.pop_all()

    def _queue(self, undo: ExitStack, index: int, queue: QueueOffer, frontend: FrontendOffer) -> Queue:
        prefix = f"queue-{index}/" if len(frontend.queues) > 1 else ""
        grants = self._host.grants(self._domid)
        undo.callback(grants.close)
        address = self._map_ring(grants, prefix, queue)
        undo.callback(grants.unmap, address, len(queue.ring_refs))
        channel = self._bind(prefix, queue)
        undo.callback(channel.close)
        ring = self._server(grants, channel, address, queue, frontend)
        undo.callback(ring.close)
        return Queue(index, queue, ring)

    def _map_ring(self, grants: Grants, prefix: str, queue: QueueOffer) -> int:
        try:
            return grants.map(queue.ring_refs, writable=True)
        except HostError as error:
            refs = ", ".join(map(str, queue.ring_refs))
            raise UserError(
                f"{prefix}ring-ref {refs} of domain {self._domid} cannot be mapped: {error.problem}",
                fix=error.fix or "the frontend must grant its ring pages to us, writable",
                key=f"{prefix}ring-ref",
                value=refs,
            ) from error

    def _bind(self, prefix: str, queue: QueueOffer) -> Channel:
        try:
            return self._host.bind(self._domid, queue.event_channel)
        except HostError as error:
            raise UserError(
                f"{prefix}event-channel {queue.event_channel} of domain {self._domid} cannot be bound: {error.problem}",
                fix=error.fix or "the frontend must offer a port it has opened for us and nobody has bound",
                key=f"{prefix}event-channel",
                value=queue.event_channel,
            ) from error

    def _server(
        self, grants: Grants, channel: Channel, address: int, queue: QueueOffer, frontend: FrontendOffer
    ) -> RingServer:
        settings, limits, caps = self._terms.settings, self._terms.limits, self._host.caps
        config = RingConfig(
            grants=grants.ops,
            channel=channel.ops,
            domid=self._domid,
            ring_address=address,
            ring_pages=len(queue.ring_refs),
            protocol=frontend.protocol,
            grant_mode=_grant_mode(self._host, frontend, settings),
            persistent_pages=limits.persistent_pages // len(frontend.queues),
            max_map_pages=caps.max_map_pages,
            single_map=caps.single_map,
            idle_trims=max(1, round(settings.persistent_idle_seconds / TRIM_SECONDS)),
            max_segments=limits.segments,
            response_batch=settings.response_batch,
            response_wait_us=settings.response_wait_us,
            poll_us=settings.poll_us,
            io=IoEngine(settings.io_engine.value),
        )
        try:
            return RingServer(self.vbd, config, self._terms.budget)
        except MemoryError as error:
            raise UserError(
                f"a ring of {config.ring_pages} pages cannot be served: {error}",
                fix="free some memory, or lower max_ring_page_order, max_queues or indirect_segments",
                key="max_ring_page_order",
            ) from error

    def views(self) -> tuple[RingView, ...]:
        """All rings as people see them."""
        return tuple(queue.view() for queue in self.queues)

    def latency(self) -> Latency:
        """The histograms of all rings together."""
        return add_latency(*(queue.ring.latency() for queue in self.queues))

    def stop(self) -> None:
        """Ask all rings to end."""
        for queue in self.queues:
            queue.ring.stop()

    def trim(self) -> None:
        """Have pages unmapped that no request used for ``persistent_idle_seconds``."""
        if self._trims:
            for queue in self.queues:
                queue.ring.trim()

    def note(self) -> None:
        """Notice what moves and how quick it is, also while nobody looks; every ``TRIM_SECONDS``, under the lock."""
        self.views()
        latency = self.latency()
        self.recent_p99 = percentile(total(*difference_of(latency, self._noted)), 0.99) or 0.0
        self._noted = latency

    def close(self) -> Counters:
        """Give everything back, once no ring runs any more; the last counters of all."""
        counters = add_counters(*(queue.ring.close() for queue in self.queues))
        self._undo.close()
        return counters


def _grant_mode(host: Host, frontend: FrontendOffer, settings: EngineSettings) -> GrantMode:
    """Persistent only when both sides said so; else copy where the host can."""
    if frontend.persistent and settings.persistent_grants:
        return GrantMode.PERSISTENT
    if host.caps.grant_copy and settings.grant_copy:
        return GrantMode.COPY
    return GrantMode.MAP
