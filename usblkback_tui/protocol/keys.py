# SPDX-License-Identifier: MIT
"""Xenstore paths of a vbd, and the numbers that stand in its keys."""

from __future__ import annotations

import re
from collections.abc import Callable

from usblkback_tui.protocol.errors import UserError

Read = Callable[[str], str | None]
"""A key's value by its name inside one directory; None when it is missing."""

U32 = 0xFFFF_FFFF

_DECIMAL = re.compile(r"[0-9]{1,10}", re.ASCII)


def domain_path(domid: int) -> str:
    """``/local/domain/3``."""
    return f"/local/domain/{domid}"


def frontend_path(domid: int, devid: int) -> str:
    """The frontend's directory of a vbd."""
    return f"{domain_path(domid)}/device/vbd/{devid}"


def backend_root(backend: int, kind: str) -> str:
    """All vbds of one kind that a backend domain serves."""
    return f"{domain_path(backend)}/backend/{kind}"


def backend_path(backend: int, kind: str, domid: int, devid: int) -> str:
    """The backend's directory of a vbd."""
    return f"{backend_root(backend, kind)}/{domid}/{devid}"


def error_path(backend: int, kind: str, domid: int, devid: int) -> str:
    """Where a backend leaves its last error for the toolstack; Linux's xenbus does the same."""
    return f"{domain_path(backend)}/error/backend/{kind}/{domid}/{devid}"


def frontend_error_path(domid: int, devid: int) -> str:
    """Where a frontend leaves its last error, as Linux's xenbus does."""
    return f"{domain_path(domid)}/error/device/vbd/{devid}"


def parse_u32(key: str, text: str | None) -> int:
    """An unsigned 32-bit decimal without sign, space or other ornament.  Raises UserError naming the key and value."""
    if text is None:
        raise UserError(f"frontend key {key} is missing", fix="the frontend must write it before its state", key=key)
    if not _DECIMAL.fullmatch(text) or int(text) > U32:
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise UserError(
            f"frontend key {key} is {shown!r}", fix="it must be a decimal number below 4294967296", key=key, value=shown
        )
    return int(text)


def parse_flag(key: str, text: str | None) -> bool:
    """``1`` or ``0``; missing is no.  Raises UserError."""
    return text is not None and parse_u32(key, text) != 0


def parse_id(text: str) -> int | None:
    """A directory's name as a domid or devid; None for anything else, so that a stray child is passed over."""
    if not _DECIMAL.fullmatch(text) or (len(text) > 1 and text[0] == "0") or int(text) > 0x7FFF_FFFF:
        return None
    return int(text)
