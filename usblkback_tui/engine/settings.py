# SPDX-License-Identifier: MIT
"""What can be set on an engine; ``config.py`` reads it from a file, the CLI overrides it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """A disk to attach as soon as its domain is there."""

    domain: str
    image: str
    vdev: str
    mode: str = "w"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One engine."""

    kinds: tuple[str, ...] = ("usblkback",)
    """Backend directories we serve: ``/local/domain/<us>/backend/<kind>``; the first is the one we attach under."""
    max_disks: int = 64
    detach_seconds: float = 10.0
    """How long a guest has to let go of a disk before a detach reports it or, with force, takes it away."""
    persistent_grants: bool = True
    """Offer to keep a frontend's pages mapped between requests."""
    persistent_pages: int = 1056
    """Pages kept mapped per ring at most; the least recently used one makes room."""
    indirect_segments: int = 256
    """Pages in one request at most; 0 offers no indirect requests, then it is 11."""
    grant_copy: bool = True
    """For frontends without persistent grants: copy where the host can, instead of mapping for each request."""
    poll_us: int = 0
    """Microseconds to look for more work before sleeping; only for a host with CPUs to spare."""
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
class UiSettings:
    """The terminal UI."""

    refresh_hz: float = 4.0
    theme: str = "textual-dark"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything in a config file."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    disks: tuple[DiskSettings, ...] = ()
    demo: DemoSettings = field(default_factory=DemoSettings)
    ui: UiSettings = field(default_factory=UiSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
