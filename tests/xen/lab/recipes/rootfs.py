# SPDX-License-Identifier: MIT
"""dom0's root file system as a tar: a minimal Debian with Xen's tools."""

from pathlib import Path

from ..cache import Artefact
from ..host import DEBIAN, sh
from .hypervisor import XEN_VERSION

PACKAGES = (
    f"xen-utils-{XEN_VERSION}", "xenstore-utils", "qemu-system-xen", "qemu-utils",
    "libxencall1", "libxendevicemodel1", "libxenevtchn1", "libxengnttab1", "libxenstore4",
    "e2fsprogs", "iproute2", "kmod", "mount", "ncurses-term", "procps", "python3", "strace", "tmux", "util-linux",
)  # fmt: skip
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt", "var/lib/apt/lists")


def make(folder: Path) -> None:
    excludes = [f"--dpkgopt=path-exclude=/{path}/*" for path in UNUSED]
    names = ",".join(PACKAGES)
    sh(["mmdebstrap", "--variant=minbase", f"--include={names}", *excludes, DEBIAN, str(folder / "rootfs.tar")])


ROOTFS = Artefact("rootfs", make, inputs=(DEBIAN, XEN_VERSION))
