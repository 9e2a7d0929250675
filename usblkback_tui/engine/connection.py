# SPDX-License-Identifier: MIT
"""What is held while a frontend is connected: its ring page, its event channel, its grants, and the ring server.

Everything is acquired in one place and given back in one place, in reverse order; a step that fails gives back exactly
what the earlier ones took.
"""

from __future__ import annotations

from contextlib import ExitStack

from usblkback_tui.engine.datapath.ring import GrantMode, RingConfig, RingServer, Vbd, VbdConfig
from usblkback_tui.engine.host.seam import Grants, Host, HostError
from usblkback_tui.engine.image.raw import RawImage
from usblkback_tui.engine.settings import EngineSettings
from usblkback_tui.engine.snapshot import Counters, RingView
from usblkback_tui.protocol.backend import Offer
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.frontend import FrontendOffer


class Connection:
    """One served ring.  Raises UserError when the frontend's ring or event channel cannot be had."""

    def __init__(
        self,
        host: Host,
        domid: int,
        frontend: FrontendOffer,
        offer: Offer,
        image: RawImage,
        settings: EngineSettings,
    ) -> None:
        self.frontend = frontend
        with ExitStack() as undo:
            grants = host.grants(domid)
            undo.callback(grants.close)
            address = self._map_ring(grants, domid, frontend)
            undo.callback(grants.unmap, address, len(frontend.ring_refs))
            try:
                channel = host.bind(domid, frontend.event_channel)
            except HostError as error:
                raise UserError(
                    f"event-channel {frontend.event_channel} of domain {domid} cannot be bound: {error.problem}",
                    fix=error.fix or "the frontend must offer a port it has opened for us and nobody has bound",
                    key="event-channel",
                    value=frontend.event_channel,
                ) from error
            undo.callback(channel.close)
            self.config = RingConfig(
                grants=grants.ops,
                channel=channel.ops,
                domid=domid,
                ring_address=address,
                ring_pages=len(frontend.ring_refs),
                protocol=frontend.protocol,
                grant_mode=_grant_mode(host, frontend, settings),
                persistent_pages=settings.persistent_pages,
                max_segments=offer.indirect_segments,
                poll_us=settings.poll_us,
            )
            self.vbd = Vbd(
                VbdConfig(
                    image_fd=image.fd,
                    sectors=offer.sectors,
                    readonly=offer.readonly,
                    discard=offer.discard,
                    discard_granularity=offer.discard_granularity,
                    discard_alignment=offer.discard_alignment,
                )
            )
            self.ring = RingServer(self.vbd, self.config)
            self._undo = undo.pop_all()

    @staticmethod
    def _map_ring(grants: Grants, domid: int, frontend: FrontendOffer) -> int:
        try:
            return grants.map(frontend.ring_refs, writable=True)
        except HostError as error:
            refs = ", ".join(map(str, frontend.ring_refs))
            raise UserError(
                f"ring-ref {refs} of domain {domid} cannot be mapped: {error.problem}",
                fix=error.fix or "the frontend must grant its ring page to us, writable",
                key="ring-ref",
                value=refs,
            ) from error

    def view(self) -> RingView:
        """The ring as people see it."""
        counters, indices = self.ring.counters_now()
        return RingView(
            index=0,
            slots=indices.slots,
            pages=self.config.ring_pages,
            protocol=self.config.protocol,
            grant_mode=self.config.grant_mode.value,
            io_engine=self.ring.io_engine.value,
            event_channel=self.frontend.event_channel,
            req_prod=indices.req_prod,
            req_cons=indices.req_cons,
            rsp_prod=indices.rsp_prod,
            req_event=indices.req_event,
            rsp_event=indices.rsp_event,
            counters=counters,
        )

    def close(self) -> Counters:
        """Give everything back, once the ring no longer runs; the last counters."""
        counters = self.ring.close()
        self._undo.close()
        return counters


def _grant_mode(host: Host, frontend: FrontendOffer, settings: EngineSettings) -> GrantMode:
    """Persistent only when both sides said so; else copy where the host can."""
    if frontend.persistent and settings.persistent_grants:
        return GrantMode.PERSISTENT
    if host.caps.grant_copy and settings.grant_copy:
        return GrantMode.COPY
    return GrantMode.MAP
