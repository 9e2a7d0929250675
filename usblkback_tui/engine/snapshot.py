# SPDX-License-Identifier: MIT
"""What people see of the engine: one frozen value, made a few times a second, safe to hand to any thread.

Counters are totals since the disk was attached, rates are the consumer's business (``rates.py``).  Times are
``time.time()`` seconds unless a name says otherwise; latencies are nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from usblkback_tui.engine.settings import DiskOptions
from usblkback_tui.protocol.expected import Expected
from usblkback_tui.protocol.states import XenbusState


class Severity(Enum):
    """How much an event or a health line matters."""

    INFO = "info"
    GOOD = "good"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Health:
    """One sentence on a disk: what is wrong and what to try, or that nothing is."""

    severity: Severity = Severity.GOOD
    sentence: str = "ok"

    @property
    def unwell(self) -> bool:
        """A warning or an error."""
        return self.severity in (Severity.WARNING, Severity.ERROR)


class Party(Enum):
    """Who has to do something."""

    FRONTEND = "frontend"
    BACKEND = "backend"
    TOOLSTACK = "toolstack"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a vbd, or with the engine when ``vdev`` is empty."""

    id: str
    """Of the rule that found it: ``FE-NO-DRIVER``; docs/diagnosis.md has them all."""
    severity: Severity
    domid: int
    vdev: str
    sentence: str
    """What is wrong, and why as far as it shows."""
    evidence: tuple[tuple[str, str], ...]
    """(key, value): ``frontend/state``, ``backend/params``, ``ring 0 req_prod``."""
    waiting_for: Party
    deadline: float = 0.0
    """Seconds that the step may take, counted from the last one; 0: nobody counts."""
    tries: tuple[str, ...] = ()
    """What may mend it, the likeliest first."""


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """The directories of a vbd in the store, as they were last read: (key, value), bounded and printable."""

    back: tuple[tuple[str, str], ...] = ()
    front: tuple[tuple[str, str], ...] = ()
    back_error: str = ""
    """What the backend left in its error node."""
    front_error: str = ""
    """What the guest's driver left in its own."""
    back_access: str = ""
    """Who may use the backend's directory, as xenstore-ls shows it: ``n0,r5``; empty: not known."""
    front_access: str = ""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Log-linear latency buckets of one operation; see ``latency.py`` for their bounds."""

    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counters:
    """What one ring did."""

    reads: int = 0
    writes: int = 0
    flushes: int = 0
    discards: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    bytes_discarded: int = 0
    errors: int = 0
    """Responses with a status other than OKAY."""
    bad_requests: int = 0
    """Of the errors: requests the guest must never send (validation refused them)."""
    io_errors: int = 0
    """Of the errors: the image failed."""
    map_errors: int = 0
    """Of the errors: a grant could not be mapped or copied."""
    refused: int = 0
    """Of the errors: writes to a read-only or poisoned disk, and operations that were not offered."""
    in_flight: int = 0
    indirect: int = 0
    responses: int = 0
    notifies_sent: int = 0
    notifies_suppressed: int = 0
    wakeups: int = 0
    grants_mapped: int = 0
    """Pages mapped now."""
    maps: int = 0
    """Pages mapped since the start; equals ``unmaps`` plus ``grants_mapped``."""
    unmaps: int = 0
    copies: int = 0
    """Pages moved by grant copy."""
    evictions: int = 0
    """Pages kept mapped that made room for others."""
    idle_releases: int = 0
    """Pages kept mapped that were given back because no request used them."""
    polls: int = 0
    """Looks for more work before sleeping, and ``poll_hits`` of them found some."""
    poll_hits: int = 0


@dataclass(frozen=True, slots=True)
class RingView:
    """One queue of a disk while it is connected."""

    index: int
    slots: int
    """Requests the ring holds."""
    pages: int
    protocol: str
    """``x86_64-abi``, ``x86_32-abi``, ..."""
    grant_mode: str
    """``persistent``, ``copy`` or ``map``."""
    io_engine: str
    event_channel: int
    req_prod: int = 0
    req_cons: int = 0
    rsp_prod: int = 0
    req_event: int = 0
    rsp_event: int = 0
    counters: Counters = field(default_factory=Counters)
    moved: float = 0.0
    """When its indices were first seen as they are; 0: not known."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Histograms since attach, by operation."""

    read: Histogram = field(default_factory=Histogram)
    write: Histogram = field(default_factory=Histogram)
    flush: Histogram = field(default_factory=Histogram)
    discard: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a disk's frontend is offered."""

    queues: int = 1
    ring_pages: int = 1
    """In each ring."""
    segments: int = 0
    """Pages in an indirect request; 0: there are none, and a request holds 11."""
    persistent_pages: int = 0
    """Kept mapped between requests by all queues together."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """One end of a disk moved.  ``end`` is ``frontend`` or ``backend``."""

    time: float
    end: str
    old: XenbusState
    new: XenbusState


@dataclass(frozen=True, slots=True)
class StoreWrite:
    """A key of one end's directory got a new value."""

    time: float
    """When we wrote it; for what others wrote, when it was seen."""
    end: str
    """Whose directory it is in: ``frontend`` or ``backend``."""
    path: str
    """Relative to that directory: ``state``, ``queue-1/ring-ref``."""
    value: str
    """One short line: cut, and with escapes for what is no text."""
    by: str
    """Who wrote it: ``frontend``, ``backend`` (this engine) or ``toolstack`` (somebody else)."""


@dataclass(frozen=True, slots=True)
class DiskView:
    """One vbd.  ``(domid, devid)`` names it while the guest runs."""

    domid: int
    domain: str
    devid: int
    vdev: str
    image: str
    mode: str
    """``r`` or ``w``."""
    kind: str
    """The backend kind in xenstore: ``usblkback``, ``vbd``."""
    sectors: int
    """Size in 512-byte sectors; 0 until the image is open."""
    frontend_state: XenbusState
    backend_state: XenbusState
    frontend_since: float
    backend_since: float
    online: bool
    owned: bool
    """We wrote both directories, so we remove them."""
    health: Health
    counters: Counters
    """All rings, earlier connections included."""
    latency: Latency
    rings: tuple[RingView, ...] = ()
    transitions: tuple[StateChange, ...] = ()
    """The last 64, oldest first."""
    writes: tuple[StoreWrite, ...] = ()
    """The last 64 xenstore writes at either end, oldest first."""
    expected: Expected | None = None
    """The step the handshake waits for, counted from the later of the two ``since``; None while there is none."""
    device_type: str = "disk"
    """``disk`` or ``cdrom``."""
    sector_size: int = 512
    """Bytes the guest reads and writes at least."""
    direct: bool = False
    """The image is open for direct I/O, past the page cache."""
    limits: Limits = field(default_factory=Limits)
    options: DiskOptions = field(default_factory=DiskOptions)
    """What was asked for at attach in place of the engine's settings."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with it, the most important first; ``health`` is made of the first."""
    keys: StoreKeys = field(default_factory=StoreKeys)
    problem: str = ""
    """The sentence of a failure that still stands."""
    image_open: bool = True
    stopping_since: float = 0.0
    """When its rings were asked to stop, while they have not; else 0."""
    poisoned: int = 0
    """The errno of the flush after which writes are refused; 0: none failed."""
    io_errno: int = 0
    """Of the image's last error."""
    recent_p99: float = 0.0
    """Nanoseconds that the slowest of a hundred requests took of late; 0 without requests."""
    stranger: StateChange | None = None
    """The last time somebody else wrote our state as only a backend does."""
    table_sector_size: int = 0
    """The sector size that the image's partition table was written for when it was opened; 0: it has none."""

    @property
    def key(self) -> tuple[int, int]:
        """What a table row or a selection is remembered by."""
        return (self.domid, self.devid)

    @property
    def title(self) -> str:
        """``xvdb of g1``."""
        return f"{self.vdev} of {self.domain}"


@dataclass(frozen=True, slots=True)
class KernelCounters:
    """Totals of the kernel's xen-blkback for one vbd since it was connected, read from sysfs once a second at most."""

    monotonic: float
    """When they were read."""
    reads: int = 0
    writes: int = 0
    flushes: int = 0
    discards: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    out_of_requests: int = 0
    """Times it could take no more requests for want of room."""


@dataclass(frozen=True, slots=True)
class ForeignDisk:
    """A vbd that somebody else serves: looked at, never touched.  ``(domid, devid)`` names it as it does ours."""

    backend: int
    """The domain that serves it."""
    kind: str
    """The backend kind in xenstore: ``vbd``, ``qdisk``, ``vbd3``, ..."""
    server: str
    """Who serves that kind, as far as can be told: ``xen-blkback``, ``qemu``, ``tapdisk``, or the kind."""
    domid: int
    domain: str
    devid: int
    vdev: str
    image: str
    """``params`` as the toolstack wrote it, escaped."""
    mode: str
    """``r`` or ``w``."""
    device_type: str
    """``disk`` or ``cdrom``."""
    sectors: int
    """As its backend wrote it, 0 before that; most backends mean 512 bytes whatever ``sector_size`` is."""
    sector_size: int
    frontend_state: XenbusState
    backend_state: XenbusState
    since: float
    """When either end was last seen to move."""
    online: bool
    health: Health
    counters: KernelCounters | None = None
    """None where nobody counts: only the kernel's backend shows its statistics."""
    findings: tuple[Finding, ...] = ()
    """As those of :class:`DiskView`."""
    keys: StoreKeys = field(default_factory=StoreKeys)
    running: bool = True
    """Its guest's domain is there, as far as can be told."""

    @property
    def key(self) -> tuple[int, int]:
        """What a table row or a selection is remembered by."""
        return (self.domid, self.devid)

    @property
    def title(self) -> str:
        """``xvdb of g1``."""
        return f"{self.vdev} of {self.domain}"


@dataclass(frozen=True, slots=True)
class PendingAttach:
    """An image that is attached as soon as a domain of this name appears."""

    number: int
    """Counts from 1 while the engine runs."""
    domain: str
    vdev: str
    devid: int
    image: str
    mode: str
    """``r`` or ``w``."""
    since: float
    until: float | None = None
    """When it is given up; None is never."""
    options: DiskOptions = field(default_factory=DiskOptions)

    @property
    def title(self) -> str:
        """``xvdb of g1``."""
        return f"{self.vdev} of {self.domain}"


@dataclass(frozen=True, slots=True)
class ThreadFacts:
    """One thread of the engine's process."""

    tid: int
    name: str
    cpu_seconds: float
    """Since it began."""
    wakeups: int
    """How often it was given a CPU; 0 where the kernel does not count that."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the engine's process costs, read once a second at most.  Totals since its start, for rates of a consumer."""

    monotonic: float = 0.0
    """When it was read."""
    pid: int = 0
    uptime: float = 0.0
    """Seconds."""
    threads: tuple[ThreadFacts, ...] = ()
    cpu_seconds: float = 0.0
    """All threads, ended ones included."""
    wakeups: int = 0
    """Of all threads that are alive."""
    resident_bytes: int = 0
    descriptors: int = 0
    grants_mapped: int = 0
    """Pages of guests kept mapped now, all disks together."""
    grant_budget: int = 0
    """Pages they may keep mapped together."""


@dataclass(frozen=True, slots=True)
class DomainView:
    """One running domain."""

    domid: int
    name: str


@dataclass(frozen=True, slots=True)
class RefusedVbd:
    """A vbd of our kind that a toolstack wrote and that cannot be served."""

    kind: str
    domid: int
    devid: int
    sentence: str
    """Why."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole engine at ``time`` (wall clock) and ``monotonic`` (for rates)."""

    time: float
    monotonic: float
    host: str
    """``xen``, ``sim``."""
    domid: int
    domains: tuple[DomainView, ...]
    disks: tuple[DiskView, ...]
    max_disks: int
    started: float
    foreign: tuple[ForeignDisk, ...] = ()
    """Vbds that others serve."""
    engine: EngineFacts = field(default_factory=EngineFacts)
    read_only: bool = False
    """The engine refuses whatever changes something."""
    pending: tuple[PendingAttach, ...] = ()
    """Attaches that wait for their domain, oldest first."""
    refused: tuple[RefusedVbd, ...] = ()
    rivals: tuple[tuple[str, str], ...] = ()
    """(kind, who): kinds of ours that somebody else serves in this domain, too."""
    store_problem: str = ""
    """Why the store cannot be watched; empty when it can."""

    def disk(self, key: tuple[int, int]) -> DiskView | None:
        """The disk with this ``(domid, devid)``."""
        return next((disk for disk in self.disks if disk.key == key), None)


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line in a log.  ``seq`` counts from 1 without holes."""

    seq: int
    time: float
    severity: Severity
    text: str
    """A whole sentence."""
    kind: str = "log"
    """``state``, ``attached``, ``detached``, ``error``, ``domain``, ``log``."""
    domid: int | None = None
    devid: int | None = None
    vdev: str = ""
    change: StateChange | None = None
    """Set for ``kind == "state"``."""
