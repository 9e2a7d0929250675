# SPDX-License-Identifier: MIT
"""Whom the embedded host is compared with: fio on the same file, and two userspace backends with a client each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.fio import Fio
from benchmarks.image import Image
from benchmarks.installed import ensure
from benchmarks.jobs import Job
from benchmarks.nbdkit import Nbdkit
from benchmarks.qsd import Qsd
from benchmarks.reading import Contender


@dataclass(frozen=True, slots=True)
class Peer:
    """``make(cpu, guest_cpu)`` is the contender: it works on the first; load from outside comes from the second."""

    make: Callable[[int, int], Contender[Image]]
    programs: tuple[tuple[str, str], ...]
    """(program, Debian's package)."""
    direct: bool = True
    """Whether it can carry O_DIRECT jobs."""
    usual: bool = True
    """Whether it takes part without being asked for."""


_FIO = ("fio", "fio")
_QSD = ("qemu-storage-daemon", "qemu-system-common")

PEERS = {
    "fio-io_uring": Peer(lambda cpu, guest: Fio("io_uring", cpu), (_FIO,)),
    "fio-psync": Peer(lambda cpu, guest: Fio("psync", cpu), (_FIO,)),
    "fio-mmap": Peer(lambda cpu, guest: Fio("mmap", cpu), (_FIO,), direct=False),
    "qsd-io_uring": Peer(lambda cpu, guest: Qsd(cpu, guest, "io_uring"), (_QSD,)),
    "qsd-threads": Peer(lambda cpu, guest: Qsd(cpu, guest, "threads"), (_QSD,), usual=False),
    "nbdkit": Peer(lambda cpu, guest: Nbdkit(cpu, guest), (("nbdkit", "nbdkit"), _FIO), direct=False),
}


def present(names: Iterable[str]) -> tuple[tuple[Peer, ...], dict[str, str]]:
    """The peers that are there, and the versions of their programs; those that cannot be had are named and left out."""
    peers, versions = [], dict[str, str]()
    for name in names:
        try:
            for program, package in PEERS[name].programs:
                versions[program] = versions.get(program) or ensure(program, package)
        except BenchmarkError as error:
            print(f"without {name}: {error}", flush=True)
            continue
        peers.append(PEERS[name])
    return tuple(peers), versions


def carrying(peers: Iterable[Peer], job: Job, cpu: int, guest_cpu: int) -> tuple[Contender[Image], ...]:
    """Those of them that can carry a job, as contenders."""
    return tuple(peer.make(cpu, guest_cpu) for peer in peers if peer.direct or not job.direct)
