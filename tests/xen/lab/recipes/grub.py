# SPDX-License-Identifier: MIT
"""GRUB as a guest's kernel: the smallest 32-bit frontend there is, from Debian's package."""

from pathlib import Path

from ..cache import Artefact
from ..host import own_apt, sh

KERNEL = "grub-i386-xen_pvh.bin"


def make(folder: Path) -> None:
    sh(f"apt-get {own_apt()} download grub-xen-host", cwd=folder)
    sh(f"dpkg-deb --fsys-tarfile *.deb | tar -xO ./usr/lib/grub-xen/{KERNEL} >{KERNEL}; rm *.deb", cwd=folder)


GRUB = Artefact("grub", make)
