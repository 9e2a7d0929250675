# SPDX-License-Identifier: MIT
"""One Xen machine under emulation, one guest, and a disk of each contender attached to it at the same time.

The machine is the one that tests/xen runs in: Xen, a Debian dom0 and PV guests in QEMU's software emulation.  All
images lie in dom0's tmpfs and are equally long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
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
OURS, KERNEL, QDISK = "usblkback", "xen-blkback", "qdisk"
_FIRST_VARIANT = "e"


@dataclass(frozen=True, slots=True)
class Disk:
    """A contender's disk as the guest sees it: ``xvdb`` of ``usblkback``."""

    name: str
    device: str
    settings: str = ""
    """Lines of ``[engine]`` for an engine of ours of its own."""


@dataclass(frozen=True, slots=True)
class XenMachine:
    """A running machine; what all disks work on."""

    dom0: Dom0
    guest: Guest
    disks: tuple[Disk, ...]

    def settle(self) -> None:
        """The guest has nothing left to write."""
        self.guest.run("sync")


def disks(variants: Sequence[str]) -> tuple[Disk, ...]:
    """The three contenders, and an engine of ours for each line of settings."""
    letters = [chr(ord(_FIRST_VARIANT) + at) for at in range(len(variants))]
    return (
        Disk(OURS, "xvdb"),
        Disk(KERNEL, "xvdc"),
        Disk(QDISK, "xvdd"),
        *(Disk(line, f"xvd{letter}", line) for letter, line in zip(letters, variants, strict=True)),
    )


@contextmanager
def running(served: tuple[Disk, ...]) -> Iterator[XenMachine]:
    """A fresh machine with these disks.  Raises BenchmarkError, also for what the machine does in the block."""
    try:
        prepare_host()
        build_all()
        with Machine.restore(states.staged().get()) as machine:
            dom0 = Dom0(machine)
            yield XenMachine(dom0, _boot(dom0, served), served)
    except (LabUnavailable, CommandFailed, CommandError, LinkLost) as error:
        raise BenchmarkError(str(error)) from error


def _boot(dom0: Dom0, served: Sequence[Disk]) -> Guest:
    for idle in ("g1", "g2"):  # their timers would run beside what is measured
        dom0.run(f"xl destroy {idle}")
    # random bytes in pages that exist: a hole would be read faster
    dom0.run(f"head -c {IMAGE_MIB}M /dev/urandom >/tmp/random", timeout=120)
    for disk in served:
        dom0.run(f"cp /tmp/random {_image(disk)}", timeout=120)
    dom0.run("rm /tmp/random")
    kernel, qdisk = (next(disk for disk in served if disk.name == name) for name in (KERNEL, QDISK))
    dom0.run("modprobe xen-blkback && modprobe loop")
    loop = dom0.run(f"losetup --show -f {_image(kernel)}").out.strip()
    guest = dom0.create_guest(
        GUEST,
        config=f"disk = ['phy:{loop},{kernel.device},w', "
        f"'format=raw,vdev={qdisk.device},access=rw,backendtype=qdisk,target={_image(qdisk)}']",
    )
    guest.wait()
    for number, disk in enumerate(served):
        if disk not in (kernel, qdisk):
            _serve(dom0, disk, number)
    for disk in served:
        guest.run(f"until [ -b /dev/{disk.device} ]; do sleep 0.2; done", timeout=60)
    return guest


def _serve(dom0: Dom0, disk: Disk, number: int) -> None:
    """An engine of ours with this disk; each needs a backend kind and a control socket of its own."""
    config, socket = f"/tmp/engine-{number}.toml", f"/tmp/engine-{number}.sock"
    dom0.write_file(config, f'[engine]\nkinds = ["usblkback-{number}"]\nsocket = "{socket}"\n{disk.settings}\n')
    engine = dom0.spawn(f"exec usblkback-tui serve --config {config}")
    engine.wait_for(lambda out: b"serving, control socket" in out, 120)
    attach = f"attach {GUEST} {_image(disk)} {disk.device} --wait 60"
    dom0.run(f"usblkback-tui {attach} --config {config}", timeout=120)


def _image(disk: Disk) -> str:
    return f"/tmp/{disk.device}.img"
