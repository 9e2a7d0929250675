# SPDX-License-Identifier: MIT
"""Whose step does not come while a disk is on its way to Connected."""

from __future__ import annotations

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.rule import Found, Rule, Subject, back_keys, front_keys
from usblkback_tui.engine.snapshot import Party, Severity
from usblkback_tui.protocol.backend import OUR_TYPE
from usblkback_tui.protocol.expected import HOTPLUG_SECONDS, INIT_SECONDS, PATIENCE
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.transitions import Turn, decide
from usblkback_tui.protocol.vdev import vdev_from_number

_HOTPLUGGED = ("vbd", "vbd3")
"""Kinds whose backend begins when a hotplug script or the toolstack has written the device's number."""


_STARTERS = {
    "vbd": "load the kernel's backend there: modprobe xen-blkback",
    "qdisk": "look whether the domain's qemu runs",
    "vbd3": "look whether tapback runs",
    OUR_TYPE: "start the engine there: usblkback-tui serve",
}


_ILLUMOS = "an illumos guest follows backends of kind vbd alone: serve it as that kind"
_TURNS = {Turn.FRONTEND: Party.FRONTEND, Turn.BACKEND: Party.BACKEND, Turn.TOOLSTACK: Party.TOOLSTACK}
_EARLY = (S.UNKNOWN, S.INITIALISING)
_OFFERED = (S.INITIALISED, S.CONNECTED)
_STARTING = (S.UNKNOWN, S.INITIALISING, S.INIT_WAIT)


def _no_backend(case: Case) -> Found | None:
    if case.disk is not None or case.back not in _EARLY:
        return None
    starter = _STARTERS.get(case.kind, f"look whether the backend of kind {case.kind} runs")
    domain = "" if case.backend == 0 else f" in domain {case.backend}"
    return Found(
        f"no backend of kind {case.kind} has taken it{domain}", back_keys(case, "params", "script"), (starter,)
    )


def _slow_image(case: Case) -> Found | None:
    if case.disk is None or case.disk.image_open or case.back not in _STARTING:
        return None
    return Found("the image is still being opened", (("image", case.disk.image),))


def _no_hotplug(case: Case) -> Found | None:
    if not _awaits_script(case):
        return None
    return Found(
        "the hotplug script has not named a device (physical-device)",
        back_keys(case, "physical-device", "physical-device-path", "hotplug-status", "script", "params"),
    )


def _awaits_script(case: Case) -> bool:
    if case.disk is not None or case.kind not in _HOTPLUGGED or case.back not in (S.INIT_WAIT, S.INITIALISED):
        return False
    return not (case.at_back("physical-device") or case.at_back("physical-device-path"))


def _illegal(case: Case) -> Found | None:
    strange = (S.RECONFIGURING, S.RECONFIGURED)
    if case.front in (*strange, S.INIT_WAIT):
        end, state = "frontend", case.front
    elif case.back in strange or (case.disk is not None and case.back is S.INITIALISED):
        end, state = "backend", case.back
    else:
        return None
    return Found(f"{state.word} is not a state of a block {end}")


def _unwanted_cd(case: Case) -> Found | None:
    if not _untouched(case) or case.at_back("device-type") != "cdrom" or case.kind not in (OUR_TYPE, "vbd3"):
        return None
    return Found(
        "the guest's driver has not offered a ring for this CD; Linux HVM and PVH guests take no PV CD",
        back_keys(case, "device-type"),
    )


def _odd_vdev(case: Case) -> Found | None:
    if not _untouched(case):
        return None
    vdev = vdev_from_number(case.devid)
    if vdev is not None and vdev.kind == "xvd":
        return None
    what = f"{case.devid} is no virtual device number" if vdev is None else f"{vdev.name} is no xvd name"
    return Found(f"the guest's driver has not offered a ring: {what}", front_keys(case, "virtual-device"))


def _unseen_kind(case: Case) -> Found | None:
    half_way = case.front is S.INITIALISED and case.back is S.CONNECTED and not case.io_seen
    if not (_untouched(case) or half_way) or case.kind == "vbd" or case.neighbours != {"vbd"}:
        return None
    if case.at_back("device-type") == "cdrom":
        return None
    return Found(
        f"the guest uses its disks of kind vbd and has not looked at this one of kind {case.kind}, as illumos does",
        front_keys(case, "backend"),
    )


def _no_driver(case: Case) -> Found | None:
    if not _untouched(case) or case.at_back("device-type") == "cdrom":
        return None  # a CD of an emulated drive waits like this for ever
    known = ("state", "backend", "backend-id", "virtual-device", "device-type", "trusted", "protocol", "event-channel")
    odd = tuple((f"frontend/{name}", value) for name, value in case.keys.front if name not in known)[:12]
    others = "; another disk of it is connected" if case.neighbours else ""
    return Found(
        f"the guest's driver has not offered a ring{others}",
        (*front_keys(case, "ring-ref", "event-channel"), *back_keys(case, "bootable"), *odd),
    )


def _untouched(case: Case) -> bool:
    return case.back is S.INIT_WAIT and case.front is S.INITIALISING


def _not_taken(case: Case) -> Found | None:
    if case.front not in _OFFERED or case.back not in (*_STARTING, S.INITIALISED) or _awaits_script(case):
        return None
    return Found(
        "its backend has not taken the guest's ring",
        tuple((f"frontend/{name}", value) for name, value in case.transport),
    )


def _no_size(case: Case) -> Found | None:
    if case.back is not S.CONNECTED or case.front not in _OFFERED or case.connected or not case.keys.back:
        return None
    missing = [key for key in ("sectors", "sector-size", "info") if case.at_back(key) is None]
    if not missing:
        return None
    return Found(
        f"the backend says Connected and has not written {' and '.join(missing)}, which a guest cannot do without",
        back_keys(case, "sectors", "sector-size", "info"),
    )


def _not_followed(case: Case) -> Found | None:
    if case.back is not S.CONNECTED or case.front not in (*_STARTING, S.INITIALISED) or case.io_seen:
        return None  # a boot loader reads without ever going to Connected
    return Found(
        "the guest has not taken the disk's size and features",
        back_keys(case, "sectors", "sector-size", "physical-sector-size", "info"),
    )


def _guest_says(case: Case) -> Found | None:
    said = case.keys.front_error
    if not said or case.connected or not (case.closing or case.late(PATIENCE)):
        return None
    return Found(
        f"the guest says: {said.partition(' ')[2] if said[:1].isdecimal() else said}", (("frontend/error", said),)
    )


def _no_step(case: Case) -> Found | None:
    if case.connected or (case.io_seen and case.back is S.CONNECTED):
        return None
    if case.at_back("device-type") == "cdrom" and _untouched(case):
        return None
    if _awaits_script(case) or (case.disk is not None and not case.disk.image_open):
        return None  # these have deadlines of their own
    cell = decide(case.front, case.back, online=case.online)
    return Found(f"no step since: {cell.reason}", waiting_for=_TURNS.get(cell.turn))


OPENING = (
    Rule(
        "BE-NO-SIZE",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.BACKEND,
        _no_size,
        "the backend is Connected without sectors, sector-size or info",
        ("detach the disk and attach it again", "report it to whoever wrote that backend"),
        seconds=PATIENCE,
        source="xen-blkfront: reading backend fields",
    ),
    Rule(
        "FE-ERROR",
        Subject.HANDSHAKE,
        Severity.ERROR,
        Party.FRONTEND,
        _guest_says,
        "the guest's driver left a sentence in its error node",
        ("see the guest's console",),
        source="xenbus_dev_error",
    ),
    Rule(
        "BE-NO-BACKEND",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.BACKEND,
        _no_backend,
        "the backend's state is missing or Initialising: nobody serves the kind there",
        ("detach the disk, which xl leaves behind when it gives up",),
        seconds=INIT_SECONDS,
        source="libxl gives a backend 10 s; QubesOS#847",
    ),
    Rule(
        "BE-SLOW-IMAGE",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.OPERATOR,
        _slow_image,
        "the image has been opening for longer than a hotplug script may take",
        ("look at the storage behind it; a Windows guest that boots from it hangs meanwhile",),
        seconds=HOTPLUG_SECONDS,
        source="QubesOS#10779, win-pv-drivers#21",
    ),
    Rule(
        "BE-NO-HOTPLUG",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.TOOLSTACK,
        _no_hotplug,
        "the backend is in InitWait without physical-device or physical-device-path",
        ("see /var/log/xen/xen-hotplug.log", "look whether udev or xl devd runs in the backend's domain"),
        seconds=HOTPLUG_SECONDS,
        source="xen-troops rpi5#81, blktap#441, tapback: udev scripts haven't yet run",
    ),
    Rule(
        "ILLEGAL",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.OPERATOR,
        _illegal,
        "an end is in a state that no block device has: Reconfiguring, Reconfigured, a frontend in InitWait",
        ("look who wrote it; detach the disk and attach it again",),
        seconds=PATIENCE,
        source="xenbus.h; docs/transitions.md",
    ),
    Rule(
        "FE-NO-CDROM",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.OPERATOR,
        _unwanted_cd,
        "a CD that the guest's driver does not take up",
        ("attach it as a disk with mode r",),
        seconds=PATIENCE,
        source="xen-blkfront: HVM guests bind no PV CD",
    ),
    Rule(
        "FE-VDEV",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.OPERATOR,
        _odd_vdev,
        "no ring, and the device's number is none of an xvd disk",
        ("attach it as xvdb or the like",),
        seconds=PATIENCE,
        source="QubesOS#11128; xen-vbd-interface.7",
    ),
    Rule(
        "FE-KIND",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.OPERATOR,
        _unseen_kind,
        "not taken up or only half, while disks of kind vbd of the same guest are connected",
        ("serve it as kind vbd (engine.kinds) where the kernel's xen-blkback is not loaded",),
        seconds=PATIENCE,
        source="omnios#1541",
    ),
    Rule(
        "FE-NO-DRIVER",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.FRONTEND,
        _no_driver,
        "the backend waits in InitWait and the frontend has written nothing",
        (
            "look whether the guest runs and has a PV block driver (lsmod there: xen_blkfront)",
            "an HVM guest that uses the emulated disk has to unplug it first",
            _ILLUMOS,
        ),
        seconds=PATIENCE,
        source="QubesOS#3186, #2126, #2047; xen-troops rpi5#71",
    ),
    Rule(
        "BE-NOT-TAKEN",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.BACKEND,
        _not_taken,
        "the frontend offers a ring and the backend stays before Connected",
        ("see the log of the backend's domain", "detach the disk and attach it again"),
        seconds=INIT_SECONDS,
        source="xen-troops rpi5#81: local state 3, remote state 2",
    ),
    Rule(
        "FE-WAIT-CONNECT",
        Subject.HANDSHAKE,
        Severity.WARNING,
        Party.FRONTEND,
        _not_followed,
        "the backend is Connected, the frontend is not, and no request has come",
        ("see the guest's console: it may be stalled, paused or at odds with what is offered", _ILLUMOS),
        seconds=PATIENCE,
        source="xen-blkfront, blkfront_connect",
    ),
)
"""In the order in which they are tried."""


NO_STEP = Rule(
    "NO-STEP",
    Subject.HANDSHAKE,
    Severity.WARNING,
    Party.FRONTEND,
    _no_step,
    "any other pair of states that does not end",
    ("look at the console of the guest", "detach the disk and attach it again"),
    seconds=PATIENCE,
    source="docs/transitions.md",
)
"""The last: any other pair of states that does not end."""
