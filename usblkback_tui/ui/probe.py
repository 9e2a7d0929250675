# SPDX-License-Identifier: MIT
"""What an image is, in a line under its field.  Reads the image's first bytes; not for the event loop."""

from __future__ import annotations

from usblkback_tui.engine.image import ImageInfo, image_info
from usblkback_tui.protocol.errors import UserError


def probe(path: str) -> str:
    """``raw, gpt, held by pid 812``; empty where it cannot be looked at, which others say better."""
    try:
        return describe(image_info(path))
    except UserError:
        return ""


def describe(info: ImageInfo) -> str:
    """Format, partition table, file system, and who has it."""
    words = [info.format if info.kind == "file" else f"{info.format} on a block device"]
    if info.partition_table != "none":
        words.append(f"{info.partition_table} partition table")
    if info.filesystem:
        words.append(info.filesystem)
    words += [f"locked by {holder.words}" for holder in info.holders]
    words += list(info.users)
    if not info.writable:
        words.append("not writable for this user")
    return ", ".join(words)
