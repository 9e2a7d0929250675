# SPDX-License-Identifier: MIT
"""What can be set on an engine; ``config.py`` reads it from a file, the CLI overrides it."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from enum import Enum

FLAT = "flat"
"""Metadata of a field whose own fields are keys of the table it stands in."""


NAMED = "named"
"""Metadata of a field that is a table of any names, each with a list of texts or a table."""


class IoChoice(Enum):
    """What moves bytes between guests' pages and images."""

    AUTO = "auto"
    SYNC = "sync"
    IO_URING = "io_uring"
    MMAP = "mmap"


class DirectIo(Enum):
    """Whether images are opened with O_DIRECT, past the page cache."""

    AUTO = "auto"
    """Block devices that take 512 bytes at a time are, files are not."""
    YES = True
    NO = False


@dataclass(frozen=True, slots=True)
class DiskOptions:
    """What may differ from disk to disk; None is the engine's setting of the same name."""

    max_ring_page_order: int | None = None
    max_queues: int | None = None
    indirect_segments: int | None = None
    persistent_pages: int | None = None
    io_engine: IoChoice | None = None
    direct_io: DirectIo | None = None
    sector_size: int = 512
    """Bytes the guest reads and writes at least, 512 or 4096."""
    device_type: str = "disk"
    """``disk`` or ``cdrom``."""


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """A disk to attach as soon as its domain is there."""

    domain: str
    image: str
    vdev: str
    mode: str = "w"
    options: DiskOptions = field(default_factory=DiskOptions, metadata={FLAT: True})


def _default_queues() -> int:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus, 4)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One engine."""

    kinds: tuple[str, ...] = ("usblkback",)
    """Backend directories we serve: ``/local/domain/<us>/backend/<kind>``; the first is the one we attach under."""
    max_disks: int = 64
    detach_seconds: float = 10.0
    """How long a guest has to let go of a disk before a detach reports it or, with force, takes it away."""
    max_ring_page_order: int = 4
    """Offer rings of up to 2 to this power of pages."""
    max_queues: int = field(default_factory=_default_queues)
    """Offer this many queues, each with a ring and a thread of its own."""
    indirect_segments: int = 256
    """Pages in one request at most; 0 offers no indirect requests, then it is 11."""
    persistent_grants: bool = True
    """Offer to keep a frontend's pages mapped between requests."""
    persistent_pages: int = 4224
    """Pages kept mapped per disk at most, shared out to its queues; one not used lately makes room."""
    grant_budget: int = 65536
    """Pages kept mapped by all disks together."""
    persistent_idle_seconds: float = 60.0
    """A kept page that no request used for so long is unmapped; 0 keeps it."""
    grant_copy: bool = True
    """For frontends without persistent grants: copy where the host can, instead of mapping for each request."""
    io_engine: IoChoice = IoChoice.AUTO
    direct_io: DirectIo = DirectIo.AUTO
    response_batch: int = 16
    """Responses published at once, at most."""
    response_wait_us: int = 30
    """And none of them waits longer for the others, in microseconds."""
    poll_us: int = 20
    """Microseconds to look for more work before sleeping, at most; only while it saves wake-ups."""
    affinity: int | None = None
    """Pin the whole process to this CPU."""
    high_priority: bool = False
    """Run at a higher scheduling priority."""
    wait: bool = False
    """Wait for the hypervisor's devices and store to appear instead of failing."""
    socket: str = ""
    """Control socket; empty: the default place for this user."""
    read_only: bool = False
    """Refuse what people ask that changes something: attach, detach, resize, writes to the store."""

    def for_disk(self, options: DiskOptions) -> EngineSettings:
        """The settings that one disk is served with."""
        own = {
            option.name: value
            for option in dataclasses.fields(options)
            if hasattr(self, option.name) and (value := getattr(options, option.name)) is not None
        }
        return dataclasses.replace(self, **own)


FRONTENDS = ("linux", "winvbd", "ovmf", "grub", "uboot", "minios", "freebsd", "netbsd", "illumos")
"""Block drivers that a guest of the embedded host may have; ``host/sim/guest/frontends`` describes them."""


@dataclass(frozen=True, slots=True)
class GuestSettings:
    """One guest of the embedded host and the load it makes on each of its disks."""

    name: str
    disks: tuple[str, ...] = ("xvda",)
    """A sparse image is made for each."""
    size_mib: int = 64
    read_percent: int = 70
    block_kib: int = 4
    depth: int = 8
    rate: int = 0
    """Requests a second per disk at most; 0 is as fast as it goes."""
    kernel_disks: tuple[str, ...] = ()
    """Disks that a model of the kernel's backend serves, which the engine only watches."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """The embedded host."""

    guests: tuple[GuestSettings, ...] = (
        GuestSettings("web", ("xvda",), read_percent=90, block_kib=4, depth=4, rate=2000),
        GuestSettings("db", ("xvda", "xvdb"), read_percent=60, block_kib=16, depth=16, rate=1500),
        GuestSettings("build", ("xvda",), read_percent=30, block_kib=64, depth=8, rate=400, kernel_disks=("xvdk",)),
    )


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """When a disk is worth an alert; 0 turns a threshold off."""

    p99_ms: float = 100.0
    """Of 100 requests the slowest took longer."""
    errors_percent: float = 1.0
    """More of the requests failed."""
    stuck_seconds: float = 30.0
    """A handshake or a close made no step for longer."""
    queue_full_seconds: float = 10.0
    """A ring had no free slot so many seconds ago and has none now."""


@dataclass(frozen=True, slots=True)
class ThemeSettings:
    """Colours of the terminal UI; those left out follow from the others."""

    primary: str
    """Titles, keys, reads; what is under the cursor stands on it."""
    secondary: str | None = None
    accent: str | None = None
    warning: str | None = None
    error: str | None = None
    success: str | None = None
    foreground: str | None = None
    background: str | None = None
    surface: str | None = None
    """The ground of questions."""
    panel: str | None = None
    """The ground of bars and headings."""
    dark: bool = True
    """What is left out is made for a dark ground."""


@dataclass(frozen=True, slots=True)
class UiSettings:
    """The terminal UI."""

    refresh_hz: float = 4.0
    theme: str = "textual-dark"
    themes: tuple[tuple[str, ThemeSettings], ...] = field(default=(), metadata={NAMED: True})
    """Themes of the operator's own, which ``theme`` may name; one called as another is takes its place."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything in a config file."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    disks: tuple[DiskSettings, ...] = ()
    demo: DemoSettings = field(default_factory=DemoSettings)
    ui: UiSettings = field(default_factory=UiSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    keys: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), metadata={NAMED: True})
    """Other keys for actions of the UI, which knows their names: (action, its keys in place of the usual ones)."""
