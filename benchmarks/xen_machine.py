# SPDX-License-Identifier: MIT
"""One Xen machine under emulation, one guest, and a disk of each contender attached to it at the same time.

The machine is the one that tests/xen runs in: Xen, a Debian dom0 and PV guests in QEMU's software emulation.  All
images lie in dom0's memory and are equally long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.variants import Variant
from tests.xen.lab import states
from tests.xen.lab.dom0 import Dom0
from tests.xen.lab.guest import Guest
from tests.xen.lab.host import CommandFailed, LabUnavailable, prepare_host
from tests.xen.lab.link import CommandError, LinkLost
from tests.xen.lab.machine import Machine
from tests.xen.lab.recipes import build_all

GUEST = "bench"
IMAGE_MIB = 64
"""Of each disk; dom0 has 1 GiB for everything."""
LOOP, BRD, QDISK = "xen-blkback", "xen-blkback-brd", "qdisk"
PEERS = (LOOP, BRD, QDISK)


@dataclass(frozen=True, slots=True)
class Disk:
    """A contender's disk as the guest sees it: ``xvdb`` of ``usblkback``."""

    name: str
    device: str
    ours: Variant | None = None
    """What an engine of ours of its own is told; None for a peer."""

    @property
    def image(self) -> str:
        """Where its bytes lie in dom0."""
        return "/dev/ram0" if self.name == BRD else f"/tmp/{self.device}.img"


@dataclass(frozen=True, slots=True)
class XenMachine:
    """A running machine; what all disks work on."""

    dom0: Dom0
    guest: Guest
    disks: tuple[Disk, ...]

    def settle(self) -> None:
        """The guest has nothing left to write."""
        self.guest.run("sync")


def disks(ours: Sequence[Variant], peers: Sequence[str] = PEERS) -> tuple[Disk, ...]:
    """One for each variant of ours, and one for each peer."""
    first, *others = ours
    wanted = ((first.name, first), *((peer, None) for peer in peers), *((one.name, one) for one in others))
    return tuple(Disk(name, f"xvd{chr(ord('b') + at)}", one) for at, (name, one) in enumerate(wanted))


@contextmanager
def running(served: tuple[Disk, ...], guest_options: str = "") -> Iterator[XenMachine]:
    """A fresh machine with these disks; ``guest_options`` go to the guest's kernel.

    Raises BenchmarkError, also for what the machine does in the block.
    """
    try:
        prepare_host()
        build_all()
        with Machine.restore(states.staged().get()) as machine:
            dom0 = Dom0(machine)
            yield XenMachine(dom0, _boot(dom0, served, guest_options), served)
    except (LabUnavailable, CommandFailed, CommandError, LinkLost) as error:
        raise BenchmarkError(str(error)) from error


def _boot(dom0: Dom0, served: Sequence[Disk], options: str) -> Guest:
    for idle in ("g1", "g2"):  # their timers would run beside what is measured
        dom0.run(f"xl destroy {idle}")
    dom0.run(f"modprobe -a xen-blkback loop && modprobe brd rd_nr=1 rd_size={IMAGE_MIB << 10}")
    # random bytes in pages that exist: a hole would be read faster
    dom0.run(f"head -c {IMAGE_MIB}M /dev/urandom >/tmp/random", timeout=120)
    for disk in served:
        dom0.run(f"cat /tmp/random >{disk.image}", timeout=120)
    dom0.run("rm /tmp/random")
    theirs = ", ".join(f"'{_xl_disk(dom0, disk)}'" for disk in served if not disk.ours)
    guest = dom0.create_guest(GUEST, options=options, config=f"disk = [{theirs}]")
    guest.wait()
    for number, disk in enumerate(served):
        if disk.ours:
            _serve(dom0, disk, disk.ours, number)
    for disk in served:
        guest.run(f"until [ -b /dev/{disk.device} ]; do sleep 0.2; done", timeout=60)
    return guest


def _xl_disk(dom0: Dom0, disk: Disk) -> str:
    """A peer's disk as xl is told."""
    if disk.name == QDISK:
        return f"format=raw,vdev={disk.device},access=rw,backendtype=qdisk,target={disk.image}"
    device = dom0.run(f"losetup --show -f {disk.image}").out.strip() if disk.name == LOOP else disk.image
    return f"phy:{device},{disk.device},w"


def _serve(dom0: Dom0, disk: Disk, variant: Variant, number: int) -> None:
    """An engine of ours with this disk; each needs a backend kind and a control socket of its own."""
    config, socket = f"/tmp/engine-{number}.toml", f"/tmp/engine-{number}.sock"
    lines = (f'kinds = ["usblkback-{number}"]', f'socket = "{socket}"', *variant.lines)
    dom0.write_file(config, "\n".join(("[engine]", *lines)) + "\n")
    engine = dom0.call(f"serve --config {config}")
    engine.wait_for(lambda out: b"serving, control socket" in out, 120)
    attach = f"attach {GUEST} {disk.image} {disk.device} --wait 60 --config {config}"
    dom0.call(attach).wait(120, check=True)
