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

OPTIONS_KEY = "usblkback-options"
"""Where we keep what an operator asked for a vbd, for the engine that serves it after us."""

DEVICE_TYPES = ("disk", "cdrom")
SECTOR_SIZES = (512, 4096)


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
    device_type: str = "disk"
    """``disk`` or ``cdrom``."""
    removable: bool = False
    options: str = ""
    """The text under ``OPTIONS_KEY``."""

    @property
    def cdrom(self) -> bool:
        """A CD, which nobody can write."""
        return self.device_type == "cdrom"

    @property
    def writable(self) -> bool:
        """Whether the guest may change the image."""
        return self.mode == "w" and not self.cdrom


@dataclass(frozen=True, slots=True)
class Offer:
    """What a backend can do with a vbd; becomes its feature keys."""

    sectors: int
    """Of 512 bytes, whatever ``sector_size`` is."""
    readonly: bool
    cdrom: bool = False
    removable: bool = False
    sector_size: int = SECTOR
    """The smallest piece the guest may read or write."""
    physical_sector_size: int = SECTOR
    persistent: bool = True
    max_ring_page_order: int = 0
    max_queues: int = 1
    indirect_segments: int = 0
    discard: bool = False
    secure_discard: bool = False
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
    device_type = read("device-type") or "disk"
    if device_type not in DEVICE_TYPES:
        raise UserError(
            f"backend key device-type is {device_type[:40]!r}",
            fix=f"it must be {' or '.join(DEVICE_TYPES)}",
            key="device-type",
            value=device_type[:40],
        )
    return BackendIdentity(
        domid=domid,
        devid=devid,
        image=image,
        mode="w" if "w" in (read("mode") or "r") else "r",
        discard_enabled=read("discard-enable") != "0",
        script=read("script") or "",
        device_type=device_type,
        removable=read("removable") == "1",
        options=read(OPTIONS_KEY) or "",
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
        ("max-ring-page-order", str(offer.max_ring_page_order)),
        ("max-ring-pages", str(1 << offer.max_ring_page_order)),
        ("multi-queue-max-queues", str(offer.max_queues)),
    ]
    if offer.discard:
        keys += [
            ("discard-granularity", str(offer.discard_granularity)),
            ("discard-alignment", str(offer.discard_alignment)),
            ("discard-secure", _flag(offer.secure_discard)),
        ]
    if offer.indirect_segments:
        keys.append(("feature-max-indirect-segments", str(offer.indirect_segments)))
    return keys


def size_keys(offer: Offer) -> list[tuple[str, str]]:
    """Keys that describe the disk, published before Connected."""
    info = Info(0)
    if offer.cdrom:
        info |= Info.CDROM
    if offer.removable:
        info |= Info.REMOVABLE
    if offer.readonly:
        info |= Info.READONLY
    return [
        ("sectors", str(offer.sectors)),
        ("sector-size", str(offer.sector_size)),
        ("physical-sector-size", str(max(offer.physical_sector_size, offer.sector_size))),
        ("info", str(int(info))),
    ]


def offered_limits(read: Read) -> tuple[int, int]:
    """(largest ring-page-order, most queues) that a backend's keys offer; what is missing or odd offers the least."""
    order = _number(read("max-ring-page-order"))
    pages = _number(read("max-ring-pages"))
    return max(order, pages.bit_length() - 1), max(_number(read("multi-queue-max-queues")), 1)


def attach_keys(
    backend: int, kind: str, identity: BackendIdentity
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The (backend, frontend) keys a toolstack writes for a new vbd, ``state`` last in both."""
    domid, devid = identity.domid, identity.devid
    back = [
        ("frontend", frontend_path(domid, devid)),
        ("frontend-id", str(domid)),
        ("params", identity.image),
        ("online", "1"),
        ("removable", _flag(identity.removable)),
        ("bootable", "1"),
        ("dev", vdev_name(devid)),
        ("type", OUR_TYPE),
        ("mode", identity.mode),
        ("device-type", identity.device_type),
        ("discard-enable", _flag(identity.discard_enabled)),
        ("hotplug-status", "connected"),
        *([(OPTIONS_KEY, identity.options)] if identity.options else []),
        ("state", "1"),
    ]
    front = [
        ("backend", backend_path(backend, kind, domid, devid)),
        ("backend-id", str(backend)),
        ("virtual-device", str(devid)),
        ("device-type", identity.device_type),
        ("state", "1"),
    ]
    return back, front


def _flag(value: bool) -> str:
    return "1" if value else "0"


def _number(text: str | None) -> int:
    return int(text) if text and len(text) <= 4 and text.isascii() and text.isdecimal() else 0
