# SPDX-License-Identifier: MIT
"""Guests that do wrong on a ring that is served, or do not let go of it."""

from __future__ import annotations

import os
import signal

from usblkback_tui.engine.host.sim.load import Load
from usblkback_tui.engine.scenarios.handmade import NOBODYS_REF
from usblkback_tui.engine.scenarios.scenario import Scenario
from usblkback_tui.engine.scenarios.stage import MIB, Stage, wait
from usblkback_tui.protocol.states import XenbusState as S


def _overflow(stage: Stage) -> None:
    frontend = stage.connected_by_hand()
    frontend.produce(1000)
    frontend.kick()
    stage.wait_backend(S.CLOSING)


def _lost_kick(stage: Stage) -> None:
    stage.connected_by_hand().produce(1)


def _paused(stage: Stage) -> None:
    guest = stage.linux(Load(depth=8, read_percent=50, span_bytes=4 * MIB))
    stage.attach()
    stage.wait_connected()
    wait(lambda: guest.stats().reads > 20)
    os.kill(guest.pid, signal.SIGSTOP)  # with requests on the ring, as it makes as many as it can


def _bad_request(stage: Stage) -> None:
    frontend = stage.connected_by_hand()
    frontend.request(sector=2**60)
    wait(lambda: (disk := stage.disk()) is not None and disk.counters.bad_requests)
    frontend.take(1)


def _bad_page(stage: Stage) -> None:
    frontend = stage.connected_by_hand()
    frontend.request(ref=NOBODYS_REF)
    wait(lambda: (disk := stage.disk()) is not None and disk.counters.map_errors)
    frontend.take(1)


def _busy(stage: Stage) -> None:
    guest = stage.linux(closing="busy")
    stage.attach()
    stage.wait_connected()
    wait(lambda: guest.stats().reads)
    stage.detach()
    wait(lambda: (disk := stage.disk()) is not None and disk.frontend_state is S.CLOSING)


def _never_closes(stage: Stage) -> None:
    stage.connected_by_hand()
    stage.detach()
    stage.wait_backend(S.CLOSING)


def _closed_online(stage: Stage) -> None:
    frontend = stage.connected_by_hand()
    frontend.write({}, state=6)
    stage.wait_backend(S.CLOSED)


RINGS = (
    Scenario("overflow", "RING-EVIL", "a guest claims more requests than its ring has slots", _overflow),
    Scenario(
        "lost-kick",
        "RING-STALL",
        "a request lies on the ring and no event announces it",
        _lost_kick,
        in_store=False,
        engine={"persistent_idle_seconds": 0},
    ),
    Scenario(
        "paused", "RSP-UNSEEN", "the guest is paused with requests on its ring", _paused, in_store=False, lively=True
    ),
    Scenario("bad-request", "BAD-REQUESTS", "a request for sectors beyond the disk", _bad_request, in_store=False),
    Scenario("bad-page", "MAP-ERRORS", "a request whose page was never granted", _bad_page, in_store=False),
    Scenario("busy", "DETACH-BUSY", "the disk is detached while it is mounted in the guest", _busy, lively=True),
    Scenario("never-closes", "FE-NO-CLOSE", "the guest takes no notice of a detach", _never_closes),
    Scenario("closed-online", "CLOSED-ONLINE", "the guest's driver ended in order and the disk stays", _closed_online),
)
