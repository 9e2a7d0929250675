# SPDX-License-Identifier: MIT
"""The backend's directory: who a vbd belongs to, and what we offer for it.

The identity comes from here and from nowhere else: the frontend's own ``backend`` key is guest-written (XSA-175).
Source: blkif.h, "Backend XenBus Nodes"; libxl_disk.c for what a toolstack writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from usblkback_tui.protocol.blkif import SECTOR, Info
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import Read, backend_path, frontend_path
from usblkback_tui.protocol.vdev import vdev_name

OUR_TYPE = "usblkback"
"""The ``type`` key of a vbd that no toolstack but we ourselves wrote."""


@dataclass(frozen=True, slots=True)
class BackendIdentity:
    """What a toolstack wrote about a vbd, checked against the directory's own path."""

    domid: int
    devid: int
    image: str
    """``params`` without quotes and prefix."""
    mode: str
    """``r`` or ``w``."""
    discard_enabled: bool = True
    script: str = ""

    @property
    def writable(self) -> bool:
        """Whether the guest may change the image."""
        return self.mode == "w"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a backend can do with a vbd; becomes its feature keys."""

    sectors: int
    readonly: bool
    physical_sector_size: int = SECTOR
    persistent: bool = True
    indirect_segments: int = 0
    discard: bool = False
    discard_granularity: int = SECTOR
    discard_alignment: int = 0


def parse_identity(read: Read, domid: int, devid: int) -> BackendIdentity:
    """Check a backend directory that a toolstack wrote.  Raises UserError."""
    expected = frontend_path(domid, devid)
    frontend = read("frontend")
    if frontend != expected:
        raise UserError(
            f"backend key frontend is {frontend!r}", fix=f"it must be {expected}", key="frontend", value=frontend or ""
        )
    owner = read("frontend-id")
    if owner != str(domid):
        raise UserError(
            f"backend key frontend-id is {owner!r}", fix=f"it must be {domid}", key="frontend-id", value=owner or ""
        )
    image = image_of(read("params") or "")
    if not image:
        raise UserError("backend key params names no image", fix="write the image's path there", key="params")
    return BackendIdentity(
        domid=domid,
        devid=devid,
        image=image,
        mode="w" if "w" in (read("mode") or "r") else "r",
        discard_enabled=read("discard-enable") != "0",
        script=read("script") or "",
    )


def image_of(params: str) -> str:
    """The image's path in ``params``: without a pair of single quotes and without a ``usblkback:`` prefix."""
    if len(params) >= 2 and params[0] == params[-1] == "'":
        params = params[1:-1]
    return params.removeprefix("usblkback:")


def feature_keys(offer: Offer) -> list[tuple[str, str]]:
    """Keys a frontend reads before it makes its ring; published before InitWait and again before Connected."""
    keys = [
        ("feature-flush-cache", "1"),
        ("feature-barrier", "1"),
        ("feature-persistent", _flag(offer.persistent)),
        ("feature-discard", _flag(offer.discard)),
    ]
    if offer.discard:
        keys += [
            ("discard-granularity", str(offer.discard_granularity)),
            ("discard-alignment", str(offer.discard_alignment)),
            ("discard-secure", "0"),
        ]
    if offer.indirect_segments:
        keys.append(("feature-max-indirect-segments", str(offer.indirect_segments)))
    return keys


def size_keys(offer: Offer) -> list[tuple[str, str]]:
    """Keys that describe the disk, published before Connected."""
    return [
        ("sectors", str(offer.sectors)),
        ("sector-size", str(SECTOR)),
        ("physical-sector-size", str(offer.physical_sector_size)),
        ("info", str(int(Info.READONLY if offer.readonly else Info(0)))),
    ]


def attach_keys(
    backend: int, kind: str, domid: int, devid: int, image: str, mode: str
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The (backend, frontend) keys a toolstack writes for a new vbd, ``state`` last in both."""
    back = [
        ("frontend", frontend_path(domid, devid)),
        ("frontend-id", str(domid)),
        ("params", image),
        ("online", "1"),
        ("removable", "0"),
        ("bootable", "1"),
        ("dev", vdev_name(devid)),
        ("type", OUR_TYPE),
        ("mode", mode),
        ("device-type", "disk"),
        ("discard-enable", "1"),
        ("hotplug-status", "connected"),
        ("state", "1"),
    ]
    front = [
        ("backend", backend_path(backend, kind, domid, devid)),
        ("backend-id", str(backend)),
        ("virtual-device", str(devid)),
        ("device-type", "disk"),
        ("state", "1"),
    ]
    return back, front


def _flag(value: bool) -> str:
    return "1" if value else "0"
