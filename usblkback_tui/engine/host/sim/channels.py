# SPDX-License-Identifier: MIT
"""The seam's event channels over eventfds."""

from __future__ import annotations

import errno
from collections.abc import Callable

from usblkback_tui.engine.host.seam import ChannelOps, HostError
from usblkback_tui.engine.host.sim._sim import ffi, lib
from usblkback_tui.engine.host.sim.domains import Port
from usblkback_tui.engine.host.sim.grants import address_of


class SimChannel:
    """Our end of ``port``, known to us as ``number``.  ``unbind`` is called once, at close."""

    def __init__(self, port: Port, number: int, unbind: Callable[[], None]) -> None:
        self._unbind = unbind
        self._c = lib.sim_channel_open(port.to_backend, port.to_guest, number)
        if self._c == ffi.NULL:
            unbind()
            raise HostError(
                "no descriptor for an event channel", fix="raise the limit of open files", errno=errno.EMFILE
            )
        self.ops = ChannelOps(
            handle=int(ffi.cast("uintptr_t", self._c)),
            fd=lib.sim_channel_fd(self._c),
            port=number,
            pending=address_of("sim_channel_pending"),
            unmask=address_of("sim_channel_unmask"),
            notify=address_of("sim_channel_notify"),
            wait=address_of("sim_channel_wait"),
            poke_port=lib.SIM_POKE_PORT,
        )

    def close(self) -> None:
        """See the seam."""
        if self._c is not None:
            lib.sim_channel_close(self._c)
            self._c = None
            self._unbind()
