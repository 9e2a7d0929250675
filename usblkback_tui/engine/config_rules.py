# SPDX-License-Identifier: MIT
"""What each key of a config file may be, beyond its type.

A :class:`Rule` says in words what is expected and tests one value; for a list it tests each element.  The words stand
in the error, after "set it to".
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from usblkback_tui.engine.settings import (
    AlertSettings,
    DiskOptions,
    DiskSettings,
    EngineSettings,
    GuestSettings,
    ThemeSettings,
    UiSettings,
)
from usblkback_tui.protocol.backend import DEVICE_TYPES, SECTOR_SIZES
from usblkback_tui.protocol.blkif import MAX_INDIRECT_SEGMENTS, MAX_QUEUES, MAX_RING_PAGE_ORDER
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.vdev import parse_vdev


@dataclass(frozen=True, slots=True)
class Rule:
    """``expected`` reads after "set it to"; ``holds`` gets a value of the right type."""

    expected: str
    holds: Callable[[Any], bool]


def _whole(low: int, high: int | None = None) -> Rule:
    if high is None:
        return Rule(f"a whole number, at least {low}", lambda value: bool(value >= low))
    return Rule(f"a whole number from {low} to {high}", lambda value: low <= value <= high)


def _number(low: float, high: float) -> Rule:
    return Rule(f"a number from {low:g} to {high:g}", lambda value: low <= value <= high)


def _is_vdev(text: str) -> bool:
    try:
        parse_vdev(text)
    except UserError:
        return False
    return True


def _cpus() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


_TEXT = Rule("text that is not empty", lambda value: bool(value.strip()))
_VDEV = Rule("a virtual device such as xvdb, xvdaa, sda1 or hdc", _is_vdev)
_KIND = Rule("names of lower-case letters, digits and dashes", lambda value: bool(re.fullmatch(r"[a-z0-9-]+", value)))
_MODE = Rule('"r" or "w"', lambda value: value in ("r", "w"))
_SEGMENTS = Rule(
    f"0 or a whole number from 12 to {MAX_INDIRECT_SEGMENTS}",
    lambda value: value == 0 or 12 <= value <= MAX_INDIRECT_SEGMENTS,
)
_ORDER = _whole(0, MAX_RING_PAGE_ORDER)
_QUEUES = _whole(1, MAX_QUEUES)
_PAGES = _whole(0, 65536)
_SECTOR_SIZE = Rule("512 or 4096", lambda value: value in SECTOR_SIZES)
_DEVICE_TYPE = Rule('"disk" or "cdrom"', lambda value: value in DEVICE_TYPES)
_BLOCK = Rule("a multiple of 4 from 4 to 1024", lambda value: 4 <= value <= 1024 and value % 4 == 0)
_COLOUR = Rule('a colour such as "#1e90ff"', lambda value: bool(re.fullmatch(r"#([0-9a-fA-F]{3}){1,2}", value)))
_CPU = Rule("the number of a CPU this process may run on", lambda value: value in _cpus())

RULES: dict[tuple[type, str], Rule] = {
    (EngineSettings, "kinds"): _KIND,
    (EngineSettings, "max_disks"): _whole(1, 4096),
    (EngineSettings, "detach_seconds"): _number(0, 600),
    (EngineSettings, "max_ring_page_order"): _ORDER,
    (EngineSettings, "max_queues"): _QUEUES,
    (EngineSettings, "indirect_segments"): _SEGMENTS,
    (EngineSettings, "persistent_pages"): _PAGES,
    (EngineSettings, "grant_budget"): _whole(0, 1048576),
    (EngineSettings, "persistent_idle_seconds"): _number(0, 86400),
    (EngineSettings, "response_batch"): _whole(1, 64),
    (EngineSettings, "response_wait_us"): _whole(0, 1000),
    (EngineSettings, "poll_us"): _whole(0, 1000),
    (EngineSettings, "affinity"): _CPU,
    (DiskSettings, "domain"): _TEXT,
    (DiskSettings, "image"): _TEXT,
    (DiskSettings, "vdev"): _VDEV,
    (DiskSettings, "mode"): _MODE,
    (DiskOptions, "max_ring_page_order"): _ORDER,
    (DiskOptions, "max_queues"): _QUEUES,
    (DiskOptions, "indirect_segments"): _SEGMENTS,
    (DiskOptions, "persistent_pages"): _PAGES,
    (DiskOptions, "sector_size"): _SECTOR_SIZE,
    (DiskOptions, "device_type"): _DEVICE_TYPE,
    (GuestSettings, "name"): _TEXT,
    (GuestSettings, "disks"): _VDEV,
    (GuestSettings, "size_mib"): _whole(1),
    (GuestSettings, "read_percent"): _whole(0, 100),
    (GuestSettings, "block_kib"): _BLOCK,
    (GuestSettings, "depth"): _whole(1, 256),
    (GuestSettings, "rate"): _whole(0),
    (GuestSettings, "kernel_disks"): _VDEV,
    (AlertSettings, "p99_ms"): _number(0, 60000),
    (AlertSettings, "errors_percent"): _number(0, 100),
    (AlertSettings, "stuck_seconds"): _number(0, 86400),
    (AlertSettings, "queue_full_seconds"): _number(0, 86400),
    (UiSettings, "refresh_hz"): _number(0.5, 10),
    (UiSettings, "theme"): _TEXT,
    **{(ThemeSettings, field.name): _COLOUR for field in dataclasses.fields(ThemeSettings) if field.name != "dark"},
}
"""(dataclass, field) -> its rule; a field without one takes every value of its type."""

NOT_EMPTY = {(EngineSettings, "kinds"), (GuestSettings, "disks")}
"""Lists that need an element."""

UNIQUE: dict[type, tuple[str, ...]] = {DiskSettings: ("domain", "vdev"), GuestSettings: ("name",)}
"""Tables of which no two may agree in all of these keys."""
