# SPDX-License-Identifier: MIT
"""What an attach is about to do and what may go wrong with it, before it is done.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from usblkback_tui.engine.image.info import ImageInfo
from usblkback_tui.engine.image.raw import RawImage
from usblkback_tui.engine.image.sizes import human_size
from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.protocol.backend import BackendIdentity
from usblkback_tui.protocol.blkif import SECTOR
from usblkback_tui.protocol.vdev import Vdev


@dataclass(frozen=True, slots=True)
class Explained:
    """One thing that was looked at before an attach."""

    about: str
    """``vdev``, ``kind``, ``rights``, ``lock``, ``size``, ``partitions``, ``discard``."""
    severity: Severity
    sentence: str


def explain(
    vdev: Vdev,
    kind: str,
    me: int,
    rivals: dict[str, str],
    identity: BackendIdentity,
    image: RawImage,
    info: ImageInfo,
    sector_size: int,
) -> tuple[Explained, ...]:
    """All of it, in the order of the questions."""
    return (
        _vdev(vdev, identity),
        _kind(kind, me, rivals),
        _rights(me, identity.domid),
        _lock(image),
        _size(image, sector_size),
        *_contents(info, sector_size),
        _discard(image, identity),
    )


def _vdev(vdev: Vdev, identity: BackendIdentity) -> Explained:
    part = f"partition {vdev.partition}" if vdev.partition else "the whole disk"
    decoded = f"{vdev.name} is number {vdev.number}: {vdev.kind} disk {vdev.disk}, {part}"
    if identity.cdrom:
        return Explained("vdev", Severity.WARNING, f"{decoded}; a CD, which Linux HVM and PVH guests do not take up")
    if vdev.kind != "xvd":
        return Explained("vdev", Severity.WARNING, f"{decoded}; HVM guests may pass over a name that is not xvd")
    if vdev.disk >= 16 or vdev.partition >= 16:
        return Explained("vdev", Severity.WARNING, f"{decoded}; its extended number is unknown to old guests")
    return Explained("vdev", Severity.GOOD, decoded)


def _kind(kind: str, me: int, rivals: dict[str, str]) -> Explained:
    where = f"kind {kind} in domain {me}"
    if kind in rivals:
        return Explained("kind", Severity.ERROR, f"{where}: {rivals[kind]} serves it too, and both would answer")
    others = "; ".join(f"{who} serves kind {other}, which is another" for other, who in sorted(rivals.items()))
    return Explained("kind", Severity.GOOD, f"{where}: nobody else serves it" + (f"; {others}" if others else ""))


def _rights(me: int, domid: int) -> Explained:
    guest = str(domid) if domid >= 0 else "N"  # a domain that is waited for has no number yet
    return Explained(
        "rights",
        Severity.GOOD,
        f"the backend's directory gets n{me},r{guest} and the guest's n{guest},r{me}: each end writes its own and "
        "reads the other's",
    )


def _lock(image: RawImage) -> Explained:
    if image.sharers:
        who = ", ".join(one.words for one in image.sharers)
        return Explained("lock", Severity.GOOD, f"read-only, beside {who}")
    how = "nobody else has it; it would be locked against all others" if image.writable else "nobody has it for writing"
    return Explained("lock", Severity.GOOD, how)


def _size(image: RawImage, sector_size: int) -> Explained:
    units = "4096" if image.sectors % 8 == 0 else "512 alone"
    text = f"{human_size(image.sectors * SECTOR)}, {image.sectors} sectors of 512 bytes, a multiple of {units}"
    if sector_size != SECTOR:
        return Explained(
            "size",
            Severity.WARNING,
            f"{text}; the guest sees sectors of {sector_size}, which Windows frontends and QEMU count otherwise",
        )
    return Explained("size", Severity.GOOD, text)


def _contents(info: ImageInfo, sector_size: int) -> Iterator[Explained]:
    if info.problem:
        yield Explained("partitions", Severity.WARNING, info.problem)
    elif info.partition_table == "none":
        what = (
            f"none, {info.filesystem} on all of it" if info.filesystem else "none at 512 or 4096, no known file system"
        )
        yield Explained("partitions", Severity.GOOD, what)
    elif info.table_sector_size not in (0, sector_size):
        yield Explained(
            "partitions",
            Severity.WARNING,
            f"{info.partition_table} for sectors of {info.table_sector_size}: a guest that sees {sector_size} finds no "
            f"partitions; attach it with --sector-size {info.table_sector_size}",
        )
    else:
        yield Explained("partitions", Severity.GOOD, f"{info.partition_table} for sectors of {info.table_sector_size}")


def _discard(image: RawImage, identity: BackendIdentity) -> Explained:
    if not identity.writable:
        return Explained("discard", Severity.GOOD, "not offered: the guest may only read")
    if not image.discard.supported:
        return Explained("discard", Severity.INFO, "not offered: the storage cannot give space back")
    secure = ", secure too" if image.discard.secure else ""
    return Explained(
        "discard", Severity.GOOD, f"offered in pieces of {max(image.discard.granularity, SECTOR)} bytes{secure}"
    )
