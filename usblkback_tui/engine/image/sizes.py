# SPDX-License-Identifier: MIT
"""Sizes as people write them: ``10G``, ``1.5G``, ``512MiB``, ``1048576``, ``4096s``; always whole sectors."""

from __future__ import annotations

import re
from fractions import Fraction

from usblkback_tui.protocol.errors import UserError

SECTOR = 512
"""Bytes in a protocol sector, whatever the disk's own sector size is."""

MAX_BYTES = (1 << 63) - SECTOR
"""The largest image a file offset can reach, cut to whole sectors."""

_FORMS = "write a size like 512M, 1.5G, 1048576 (bytes) or 4096s (sectors of 512 bytes)"
_SIZE = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))?(?:([kmgtpe])(?:ib)?|(b)|(s))?", re.IGNORECASE)
_POWERS = "kmgtpe"


def parse_size(text: str) -> int:
    """Bytes; units are powers of 1024.  Raises UserError (key ``size``) for what is no size or no whole sectors."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise _wrong(text, f"size {text!r} is not a size", _FORMS)
    whole, part, unit, _, sectors = match.groups()
    scale = SECTOR if sectors else 1024 ** (_POWERS.index(unit.lower()) + 1) if unit else 1
    exact = Fraction(f"{whole}.{part or 0}") * scale
    size = int(exact)
    if size == 0:
        raise _wrong(text, f"size {text!r} is empty", "a disk has at least one sector of 512 bytes")
    if size > MAX_BYTES:
        raise _wrong(text, f"size {text!r} is more than a file can hold", "stay below 8 EiB")
    if size != exact or size % SECTOR:
        up = -(-exact // SECTOR) * SECTOR
        raise _wrong(text, f"size {text!r} is no whole number of 512-byte sectors", f"the next one that is: {up}")
    return size


def parse_new_size(text: str, sectors: int) -> int:
    """The sectors that a disk of ``sectors`` is to have: a size, or with ``+`` in front what is to be added.

    Raises UserError (key ``size``).
    """
    text = text.strip()
    size = sectors * SECTOR + parse_size(text[1:]) if text.startswith("+") else parse_size(text)
    if size > MAX_BYTES:
        raise _wrong(text, f"size {text!r} is more than a file can hold", "stay below 8 EiB")
    return size // SECTOR


def human_size(size: int) -> str:
    """``1.5 GiB``, ``100 MiB``, ``512 B``: at most three significant decimals, exact when they suffice."""
    power, unit = 0, "B"
    while power < len(_POWERS) and size >= 1024 ** (power + 1):
        unit = f"{_POWERS[power].upper()}iB"
        power += 1
    return f"{size / 1024**power:.3f}".rstrip("0").rstrip(".") + f" {unit}"


def size_problem(size: int, path: str, is_block: bool = False) -> UserError | None:
    """Why an image of ``size`` bytes cannot be a disk, with the command that mends it; None when it can."""
    if size <= 0:
        fix = "attach a medium or a file to that device" if is_block else f"give it a size: truncate -s 1G {path}"
        return UserError(f"image {path} is empty", fix=fix, key="image", value=path)
    if size % SECTOR:
        up = -(-size // SECTOR) * SECTOR
        return UserError(
            f"image {path} has {size} bytes, no whole number of 512-byte sectors",
            fix=f"pad it: truncate -s {up} {path}",
            key="image",
            value=size,
        )
    return None


def _wrong(text: str, problem: str, fix: str) -> UserError:
    return UserError(problem, fix=fix, key="size", value=text)
