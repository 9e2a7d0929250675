# SPDX-License-Identifier: MIT
"""dom0's root image: the Debian tree, kernel modules, Python dependencies, and the guests' kernels in /lab.

An uncompressed erofs: nothing has to be unpacked by the emulated processor.
"""

import shutil
from pathlib import Path

from ..cache import Artefact
from ..host import PYTHON, sh
from .grub import GRUB, KERNEL
from .hypervisor import HYPERVISOR, kernel_version, module_files, modules_root
from .initrd import GUEST_INITRD, INSIDE
from .rootfs import ROOTFS
from .wheels import wheels

IN_DOM0 = ("agent.py", "services.sh")
MODULES = (
    "xen-gntdev", "xen-evtchn", "xen-privcmd", "xen-gntalloc", "xenfs", "xen-blkback", "xen-blkfront",
    "brd", "dm-mod", "ext4", "loop", "nbd", "null_blk", "overlay", "virtio_blk", "virtio_console", "virtio_pci",
)  # fmt: skip
SITE_PACKAGES = f"usr/local/lib/python{PYTHON[0]}.{PYTHON[1]}/dist-packages"


def make(folder: Path) -> None:
    root = folder / "root"
    root.mkdir()
    sh(["tar", "-C", str(root), "--exclude=./dev/*", "-xf", str(ROOTFS.get() / "rootfs.tar")])
    _add_modules(root)
    shutil.copytree(wheels().get(), root / SITE_PACKAGES, dirs_exist_ok=True, symlinks=True)
    lab = root / "lab"
    lab.mkdir()
    kernels = (HYPERVISOR.get() / "vmlinux", GUEST_INITRD.get() / "initrd.gz", GRUB.get() / KERNEL)
    for file in (*kernels, *(INSIDE / name for name in IN_DOM0)):
        shutil.copy(file, lab)
    (root / "etc" / "hostname").write_text("dom0\n")
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost dom0\n")
    sh(["mkfs.erofs", "-Enoinline_data", "--all-root", str(folder / "dom0.img"), str(root)])
    sh(["chmod", "-R", "u+rwX", str(root)])
    shutil.rmtree(root)


def _add_modules(root: Path) -> None:
    version = kernel_version()
    source = modules_root()
    target = root / "lib" / "modules" / version
    for file in module_files(*MODULES):
        copy = root / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(source / "lib" / "modules" / version / name, target)
    sh(["depmod", "-b", str(root), version])


def dom0_image() -> Artefact:
    inside = tuple(INSIDE / name for name in IN_DOM0)
    return Artefact("dom0-image", make, inputs=(HYPERVISOR, GUEST_INITRD, GRUB, ROOTFS, wheels(), *inside))
