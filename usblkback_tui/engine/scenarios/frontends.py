# SPDX-License-Identifier: MIT
"""Guests that do not come, or come with the wrong keys."""

from __future__ import annotations

from collections.abc import Callable

from usblkback_tui.engine.host.seam import Put
from usblkback_tui.engine.scenarios.handmade import NOBODYS_REF
from usblkback_tui.engine.scenarios.scenario import Scenario
from usblkback_tui.engine.scenarios.stage import Stage
from usblkback_tui.engine.settings import DiskOptions
from usblkback_tui.protocol.states import XenbusState as S


def _no_driver(stage: Stage) -> None:
    stage.handmade()


def _no_cdrom(stage: Stage) -> None:
    stage.handmade(options=DiskOptions(device_type="cdrom"))


def _odd_vdev(stage: Stage) -> None:
    stage.handmade("sdb")


def _unseen_kind(stage: Stage) -> None:
    frontend = stage.handmade()
    stage.vbd("vbd", frontend.domain.domid, {"state": "4", "physical-device": "fe:1"}, {"state": "4"}, devid=51712)


def _elsewhere(stage: Stage) -> None:
    frontend = stage.handmade()
    domid = frontend.domain.domid
    stage.toolstack(Put(f"{frontend.path}/backend", f"/local/domain/9/backend/vbd/{domid}/51728"))


def _offers(**keys: str) -> Callable[[Stage], None]:
    """A frontend that writes these keys (underscores are dashes) and says Initialised."""

    def play(stage: Stage) -> None:
        stage.handmade().write({key.replace("_", "-"): value for key, value in keys.items()}, state=3)
        stage.wait_backend(S.CLOSING)

    return play


def _bad_port(stage: Stage) -> None:
    frontend = stage.handmade()
    frontend.write(frontend.grant_ring() | {"event-channel": "77"}, state=3)
    stage.wait_backend(S.CLOSING)


def _stays_initialised(stage: Stage) -> None:
    frontend = stage.handmade()
    frontend.write(frontend.grant_ring(), state=3)
    stage.wait_backend(S.CONNECTED)


def _illegal(stage: Stage) -> None:
    stage.handmade().write({}, state=7)


def _guest_error(stage: Stage) -> None:
    frontend = stage.connected_by_hand()
    frontend.say("12 allocating the request queue")
    frontend.write({}, state=5)
    stage.wait_backend(S.CLOSING)


def _no_state(stage: Stage) -> None:
    frontend = stage.handmade()
    stage.remove(f"{frontend.path}/state")


FRONTENDS = (
    Scenario("no-driver", "FE-NO-DRIVER", "the guest has no PV block driver and never offers a ring", _no_driver),
    Scenario("cdrom", "FE-NO-CDROM", "a CD for a guest whose driver takes none", _no_cdrom),
    Scenario("odd-vdev", "FE-VDEV", "a disk named sdb, which the driver of an HVM guest passes over", _odd_vdev),
    Scenario("unseen-kind", "FE-KIND", "a guest that looks for backends of kind vbd alone, as illumos", _unseen_kind),
    Scenario("elsewhere", "FE-ELSEWHERE", "the guest was told of a backend in another domain", _elsewhere),
    Scenario(
        "no-ring", "FE-NO-RING", "the frontend says Initialised and wrote no ring-ref", _offers(event_channel="5")
    ),
    Scenario(
        "three-of-four",
        "FE-RING-ORDER",
        "a ring of four pages of which the frontend names three",
        _offers(ring_page_order="2", ring_ref0="8", ring_ref1="9", ring_ref2="10", event_channel="5"),
    ),
    Scenario(
        "large-ring",
        "FE-RING-ORDER",
        "a ring that is larger than what was offered",
        _offers(ring_page_order="9", ring_ref0="8", event_channel="5"),
    ),
    Scenario(
        "many-queues",
        "FE-MULTIQ",
        "more queues than were offered",
        _offers(multi_queue_num_queues="64", ring_ref="8", event_channel="5"),
    ),
    Scenario(
        "half-a-queue",
        "FE-MULTIQ",
        "two queues of which one has no directory",
        _offers(**{"multi_queue_num_queues": "2", "queue-0/ring-ref": "8", "queue-0/event-channel": "5"}),
    ),
    Scenario(
        "protocol",
        "FE-PROTO",
        "a ring whose layout nobody knows",
        _offers(protocol="vax-abi", ring_ref="8", event_channel="5"),
    ),
    Scenario("no-number", "FE-KEYS", "a grant reference that is no number", _offers(ring_ref="-8", event_channel="5")),
    Scenario(
        "bad-grant",
        "GNT-MAP",
        "a ring's page that was never granted",
        _offers(ring_ref=str(NOBODYS_REF), event_channel="5"),
    ),
    Scenario("bad-port", "EVT-BIND", "an event channel that was never opened", _bad_port),
    Scenario(
        "stays-initialised", "FE-WAIT-CONNECT", "the guest stalls before it has read our size", _stays_initialised
    ),
    Scenario("reconfiguring", "ILLEGAL", "a frontend in a state that no block device has", _illegal),
    Scenario("guest-error", "FE-ERROR", "the guest's driver gives up and says why", _guest_error),
    Scenario("no-state", "NO-STEP", "the frontend's state is removed by hand", _no_state),
)
