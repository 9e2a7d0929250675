# SPDX-License-Identifier: MIT
"""The seam: the smallest interface that Linux Xen, Windows XENIFACE and the embedded host can all give.

Three rules hold everywhere above it:

* a watch is a hint to read again, never a fact; hints coalesce and may come for nothing;
* a :class:`Commit` is one transaction where the host has them (``caps.transactions``), else it is done in order, so the
  caller puts ``state`` last;
* what the data path calls per request is handed over as C addresses (:class:`GrantOps`, :class:`ChannelOps`): no Python
  runs between a guest's event and its response.

Methods raise :class:`HostError`; nothing else crosses the seam.  One thread owns a host (the control thread); only
``wake`` may be called from others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

PAGE_SIZE = 4096
"""Bytes in a granted page, on every host and guest."""


class HostError(Exception):
    """The hypervisor or its store refused.  ``str()`` is one sentence; ``errno`` is 0 when there is none."""

    def __init__(self, problem: str, *, fix: str = "", errno: int = 0) -> None:
        self.problem = problem
        self.fix = fix
        self.errno = errno
        super().__init__(f"{problem}; {fix}" if fix else problem)


class Conflict(HostError):
    """A commit's expectation did not hold; nothing was written.  ``path`` is the key that differed."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class Caps:
    """What this host can do beyond the floor."""

    name: str
    """``xen``, ``sim``, ..."""
    transactions: bool = True
    grant_copy: bool = False
    domain_list: bool = True
    can_attach: bool = True
    """We may write a frontend's directory, so attaching needs no toolstack."""
    max_map_pages: int = 1024
    """Pages in one map call."""
    single_map: bool = False
    """A page of a guest can be mapped only once at a time."""
    max_grant_pages: int = 0
    """Pages that can be mapped at a time, for all guests together; 0: more than we need."""
    vbd_statistics: str = ""
    """A folder with ``vbd-<domid>-<devid>/statistics`` for each vbd that the kernel serves; empty: there is none."""


@dataclass(frozen=True, slots=True)
class Domain:
    """One running domain.  ``vm`` is the toolstack's ``/vm/<uuid>`` path, the same before and after a reboot."""

    domid: int
    name: str
    vm: str = ""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Who may do what with a key besides domain 0 and its owner, who may do everything."""

    owner: int
    others: str
    """What every domain that is not listed may do: ``n`` nothing, ``r`` read, ``w`` write, ``b`` both."""
    listed: tuple[tuple[int, str], ...] = ()
    """(domid, letter)."""


@dataclass(frozen=True, slots=True)
class Put:
    """Write ``value`` at ``path``.  With ``owner``, set permissions: all rights for the owner, ``readers`` may read."""

    path: str
    value: str
    owner: int | None = None
    readers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove ``path`` and all below it; a missing path is fine."""

    path: str


@dataclass(frozen=True, slots=True)
class Expect:
    """The commit happens only while ``path`` exists (``present``) or does not; else :class:`Conflict`."""

    path: str
    present: bool


Change = Put | Remove | Expect
Commit = Sequence[Change]


@dataclass(frozen=True, slots=True)
class GrantOps:
    """C addresses of the grant functions, with libxengnttab's signatures.

    ``map``:   ``void *(void *handle, uint32_t count, uint32_t domid, uint32_t *refs, int prot)``, NULL on failure
    ``unmap``: ``int (void *handle, void *start, uint32_t count)``
    ``copy``:  ``int (void *handle, uint32_t count, xengnttab_grant_copy_segment_t *)`` or 0; a status per segment
    """

    handle: int
    map: int
    unmap: int
    copy: int = 0


@dataclass(frozen=True, slots=True)
class ChannelOps:
    """C addresses of a bound event channel's functions, with libxenevtchn's signatures, and what to poll.

    ``pending``: ``int (void *handle)`` -> port or -1; ``unmask`` and ``notify``: ``int (void *handle, uint32_t port)``
    ``wait``: as ``pending``, but sleeps until there is an event, or 0; any thread ends the sleep with ``notify(handle,
    poke_port)``, and ``wait`` returns that port, masked
    """

    handle: int
    fd: int
    port: int
    pending: int
    unmask: int
    notify: int
    wait: int = 0
    poke_port: int = 0


class Grants(Protocol):
    """A handle on one domain's grants, for one ring and used by one thread at a time."""

    ops: GrantOps

    def map(self, refs: Sequence[int], *, writable: bool) -> int:
        """Map pages side by side, all or none; the address of the first.  Raises HostError."""
        ...

    def unmap(self, address: int, count: int) -> None:
        """Give back one earlier ``map``."""
        ...

    def close(self) -> None:
        """Idempotent.  Everything mapped through ``ops`` must be unmapped before."""
        ...


class Channel(Protocol):
    """A bound interdomain event channel."""

    ops: ChannelOps

    def close(self) -> None:
        """Unbind; idempotent.  The frontend's end becomes unbound and can be bound again."""
        ...


@dataclass(frozen=True, slots=True)
class Readiness:
    """One line of ``doctor``: what was looked at, whether it works, what was seen, how to mend it."""

    name: str
    ok: bool
    seen: str
    fix: str = ""
    needed: bool = True
    """False: nice to have; its absence does not stop the engine."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What :meth:`Host.wait` learned: tokens of the watches that fired.  ``everything`` asks for a full re-read."""

    tokens: frozenset[str] = field(default_factory=frozenset)
    everything: bool = False


class Host(Protocol):
    """One hypervisor, as seen by the backend domain."""

    caps: Caps

    def open(self) -> None:
        """Reach the hypervisor and its store.  Raises HostError with what is missing and how to mend it."""
        ...

    def close(self) -> None:
        """Idempotent; watches end, handles close."""
        ...

    def domid(self) -> int:
        """Our own domain."""
        ...

    def domains(self) -> tuple[Domain, ...]:
        """The running domains, ours included, by domid; empty without ``caps.domain_list``."""
        ...

    def read(self, path: str) -> str | None:
        """A key's value; None when it is missing.  Bytes that are no UTF-8 are replaced."""
        ...

    def read_bytes(self, path: str) -> bytes | None:
        """A key's value as it is; None when it is missing."""
        ...

    def permissions(self, path: str) -> Permissions | None:
        """Who may use a key; None when it is missing."""
        ...

    def list(self, path: str) -> tuple[str, ...]:
        """The children's names; empty when there is none or the path is missing."""
        ...

    def commit(self, changes: Commit) -> None:
        """All of it or nothing where there are transactions.  Raises Conflict or HostError."""
        ...

    def watch(self, path: str, token: str) -> None:
        """From now on changes at or below ``path`` are hinted as ``token``; it fires once at once.

        ``@introduceDomain`` and ``@releaseDomain`` stand for domains coming and going.
        """
        ...

    def unwatch(self, path: str, token: str) -> None:
        """End a watch; an unknown one is fine."""
        ...

    def wait(self, timeout: float | None) -> Hints:
        """Sleep until a watch fires, :meth:`wake` is called or ``timeout`` seconds pass."""
        ...

    def wake(self) -> None:
        """End the current or next :meth:`wait`; from any thread."""
        ...

    def grants(self, domid: int) -> Grants:
        """Open a handle for mapping ``domid``'s pages.  Raises HostError."""
        ...

    def bind(self, domid: int, port: int) -> Channel:
        """Bind ``domid``'s event channel ``port``.  Raises HostError."""
        ...

    def rivals(self) -> dict[str, str]:
        """Kinds that somebody else serves in our domain, and who: two writers of one state never agree."""
        ...

    def readiness(self) -> tuple[Readiness, ...]:
        """Look at everything the host needs, whether open or not; never raises."""
        ...
