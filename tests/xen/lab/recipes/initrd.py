# SPDX-License-Identifier: MIT
"""The two initial RAM disks: dom0's, which only mounts its root image, and the whole system of the guests."""

import os
import re
import shutil
from pathlib import Path

from ..cache import Artefact
from ..host import sh
from .fio import FIO
from .hypervisor import HYPERVISOR, module_files

INSIDE = Path(__file__).resolve().parent.parent / "inside"
FOLDERS = ("bin", "dev", "proc", "sys", "tmp", "mnt", "etc", "modules", "root")

DOM0_MODULES = (
    "virtio_pci", "virtio_blk", "virtio_console", "erofs", "overlay",
    "xenfs", "xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc",
)  # fmt: skip
GUEST_MODULES = ("ext4", "xen-blkfront")
GUEST_PROGRAMS = ("mke2fs", "e2fsck", "resize2fs")


def make_dom0(folder: Path) -> None:
    tree = _tree(folder, INSIDE / "dom0-init", DOM0_MODULES)
    _pack(tree, folder / "initrd.gz")


def make_guest(folder: Path) -> None:
    tree = _tree(folder, INSIDE / "guest-init", GUEST_MODULES)
    shutil.copy(FIO.get() / "fio", tree / "bin")
    for program in GUEST_PROGRAMS:
        _copy_with_libraries(Path("/sbin") / program, tree)
    for name in ("mkfs.ext4", "fsck.ext4"):
        (tree / "bin" / name).symlink_to("mke2fs" if name.startswith("mkfs") else "e2fsck")
    shutil.copy("/etc/mke2fs.conf", tree / "etc")
    _pack(tree, folder / "initrd.gz")


def _tree(folder: Path, init: Path, modules: tuple[str, ...]) -> Path:
    tree = folder / "tree"
    for name in FOLDERS:
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin" / "busybox")
    shutil.copy(init, tree / "init")
    (tree / "init").chmod(0o755)
    for number, file in enumerate(module_files(*modules), start=10):
        shutil.copy(file, tree / "modules" / f"{number}-{file.name}")  # the number is the loading order
    return tree


def _copy_with_libraries(program: Path, tree: Path) -> None:
    shutil.copy(program, tree / "bin")
    for library in re.findall(r"(/\S+) \(0x", sh(["ldd", str(program)])):
        target = tree / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(os.path.realpath(library), target)


def _pack(tree: Path, file: Path) -> None:
    sh(f"find . -print0 | cpio -0 -o -H newc --quiet -R 0:0 | gzip -1 > {file}", cwd=tree)
    shutil.rmtree(tree)


DOM0_INITRD = Artefact("dom0-initrd", make_dom0, inputs=(HYPERVISOR, INSIDE / "dom0-init"))
GUEST_INITRD = Artefact("guest-initrd", make_guest, inputs=(HYPERVISOR, FIO, INSIDE / "guest-init"))
