# SPDX-License-Identifier: MIT
"""Toolstacks, hotplug scripts and backends that do not do their part, ours and others'."""

from __future__ import annotations

from collections.abc import Callable

from usblkback_tui.engine.host.seam import Put
from usblkback_tui.engine.scenarios.scenario import Scenario
from usblkback_tui.engine.scenarios.stage import MIB, VDEV, Stage, wait
from usblkback_tui.protocol.backend import OUR_TYPE
from usblkback_tui.protocol.keys import error_path

_RING = {"ring-ref": "8", "event-channel": "9", "protocol": "x86_64-abi"}
_GPT_4096 = 4096


def _vbd(kind: str, back: dict[str, str], front: dict[str, str], *, readers: bool = True) -> Callable[[Stage], None]:
    """Directories of somebody else's disk that stay as they are."""

    def play(stage: Stage) -> None:
        stage.vbd(kind, stage.bare().domid, back, front, readers=readers)

    return play


def _no_image(stage: Stage) -> None:
    stage.vbd(OUR_TYPE, stage.bare().domid, {"params": str(stage.folder / "missing.img")}, {})


def _identity(stage: Stage) -> None:
    stage.vbd(OUR_TYPE, stage.bare().domid, {"params": str(stage.image()), "frontend-id": "99"}, {})


def _engine_gone(stage: Stage) -> None:
    stage.vbd(OUR_TYPE, stage.bare().domid, {"params": str(stage.image()), "state": "4"}, _RING | {"state": "4"})


def _backend_error(stage: Stage) -> None:
    domid = stage.bare().domid
    stage.vbd("vbd", domid, {"state": "5"}, {"state": "3"} | _RING)
    stage.toolstack(Put(error_path(0, "vbd", domid, 51728) + "/error", "12 allocating a workqueue"))


def _left_behind(stage: Stage) -> None:
    domain = stage.bare()
    stage.vbd("qdisk", domain.domid, {"state": "4"}, {"state": "4"})
    wait(lambda: stage.engine.snapshot().foreign)
    stage.host.hypervisor.destroy(domain.domid)


def _half_removed(stage: Stage) -> None:
    domid = stage.bare().domid
    stage.vbd("qdisk", domid, {"state": "4"}, {"state": "4"})
    wait(lambda: stage.engine.snapshot().foreign)
    stage.remove(f"/local/domain/{domid}/device/vbd/51728")


def _two_owners(stage: Stage) -> None:
    stage.linux()
    stage.attach()
    stage.wait_connected()
    disk = stage.disk()
    assert disk is not None
    stage.toolstack(Put(f"/local/domain/0/backend/{OUR_TYPE}/{disk.domid}/{disk.devid}/state", "2"))
    stage.wait_connected()


def _kind_collision(stage: Stage) -> None:
    stage.linux()
    stage.attach()
    stage.wait_connected()
    stage.host.add_rival("vbd", "the kernel's xen-blkback")


def _other_sectors(stage: Stage) -> None:
    image = stage.image()
    with image.open("r+b") as file:
        file.seek(_GPT_4096)
        file.write(b"EFI PART")
    stage.linux()
    stage.attach(VDEV, image)
    stage.wait_connected()


def _io_errors(stage: Stage) -> None:
    guest = stage.linux()
    stage.attach()
    stage.wait_connected()
    wait(lambda: guest.stats().reads)
    with (stage.folder / "patient.img").open("r+b") as file:
        file.truncate(MIB)
    wait(lambda: (disk := stage.disk()) is not None and disk.counters.io_errors)


TOOLSTACKS = (
    Scenario("no-image", "BE-NO-IMAGE", "a toolstack asks for an image that is not there", _no_image),
    Scenario("identity", "BE-IDENTITY", "a backend's directory that belongs to another domain", _identity),
    Scenario(
        "no-backend",
        "BE-NO-BACKEND",
        "xl attached a disk of a kind that nobody serves",
        _vbd("qdisk", {"params": "aio:/img/patient.qcow2"}, {}),
    ),
    Scenario(
        "no-hotplug",
        "BE-NO-HOTPLUG",
        "the hotplug script never names a device",
        _vbd("vbd", {"state": "2", "script": "/etc/xen/scripts/block"}, {"state": "3"} | _RING),
    ),
    Scenario(
        "hotplug-failed",
        "HOTPLUG-FAILED",
        "the hotplug script failed and left the directories",
        _vbd(
            "vbd",
            {"state": "2", "hotplug-status": "error", "hotplug-error": "losetup: no free loop device"},
            {"state": "1"},
        ),
    ),
    Scenario(
        "not-taken",
        "BE-NOT-TAKEN",
        "a backend that stays in InitWait although the ring is offered",
        _vbd("qdisk", {"state": "2"}, {"state": "3"} | _RING),
    ),
    Scenario(
        "no-size",
        "BE-NO-SIZE",
        "a backend that says Connected before it wrote its size",
        _vbd("qdisk", {"state": "4", "sector-size": "512"}, {"state": "3"} | _RING),
    ),
    Scenario("backend-error", "BE-ERROR", "a backend gave up and left a sentence", _backend_error),
    Scenario(
        "no-rights",
        "PERM",
        "the guest may not read its backend's directory",
        _vbd("qdisk", {"state": "2"}, {"state": "1"}, readers=False),
    ),
    Scenario("left-behind", "STALE", "the domain is gone and its disk's directories are not", _left_behind),
    Scenario("half-removed", "FE-GONE", "the guest's directory was removed while the disk was in use", _half_removed),
    Scenario(
        "close-hang",
        "CLOSE-HANG",
        "the guest closed its end and the backend never answers",
        _vbd("qdisk", {"state": "4"}, {"state": "6"}),
    ),
    Scenario(
        "not-removed",
        "NOT-REMOVED",
        "a detached disk whose directories nobody removes",
        _vbd("vbd", {"state": "6", "online": "0"}, {"state": "6"}),
    ),
    Scenario("engine-gone", "ENGINE-GONE", "the engine that served the disk was killed", _engine_gone, in_store=False),
    Scenario("two-owners", "TWO-OWNERS", "a second backend writes our state", _two_owners, in_store=False, lively=True),
    Scenario(
        "kind-collision",
        "KIND-COLLISION",
        "somebody loads the kernel's xen-blkback beside an engine that serves kind vbd",
        _kind_collision,
        in_store=False,
        lively=True,
        engine={"kinds": ("vbd", OUR_TYPE)},
    ),
    Scenario(
        "other-sectors",
        "TABLE-SECTOR-SIZE",
        "a partition table of a 4Kn disk, attached with sectors of 512",
        _other_sectors,
        in_store=False,
        lively=True,
    ),
    Scenario(
        "io-errors",
        "IO-ERRORS",
        "somebody cuts the image short under a running guest",
        _io_errors,
        in_store=False,
        lively=True,
    ),
)
