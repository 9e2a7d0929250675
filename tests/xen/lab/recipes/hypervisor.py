# SPDX-License-Identifier: MIT
"""Xen, the Linux kernel of dom0 and guests, and its modules, from Debian's packages.

xen         the hypervisor, unpacked: QEMU's multiboot loader takes no gzip
vmlinux     an ELF kernel instead of the bzImage: spares Xen and xl the decompression, 3 s a boot under emulation
root/       lib/modules/VERSION, without debug sections and signatures (checking an RSA signature costs time)
"""

import gzip
import lzma
import struct
from pathlib import Path

from ..cache import Artefact
from ..host import own_apt, sh

XEN_VERSION = "4.17"


def make(folder: Path) -> None:
    apt = own_apt()
    depends = sh(f"apt-cache {apt} depends linux-image-amd64")
    kernel = next(line.split()[1] for line in depends.splitlines() if "Depends: linux-image-" in line)
    packages = folder / "packages"
    packages.mkdir()
    sh(f"apt-get {apt} download xen-hypervisor-{XEN_VERSION}-amd64 {kernel}", cwd=packages)
    sh("for deb in packages/*.deb; do dpkg-deb -x $deb unpacked; done; rm -r packages", cwd=folder)

    boot = folder / "unpacked" / "boot"
    (folder / "xen").write_bytes(gzip.decompress((boot / f"xen-{XEN_VERSION}-amd64.gz").read_bytes()))
    (folder / "vmlinux").write_bytes(_elf_kernel(next(boot.glob("vmlinuz-*")).read_bytes()))

    version = next((folder / "unpacked" / "lib" / "modules").iterdir()).name
    sh(
        f"mkdir -p root/lib; mv unpacked/lib/modules root/lib/; rm -r unpacked\n"
        f"find root -name '*.ko' -print0 | xargs -0 -P2 -n50 strip --strip-debug\n"
        f"depmod -b root {version}",
        cwd=folder,
    )


def _elf_kernel(image: bytes) -> bytes:
    """The compressed vmlinux inside a bzImage (Linux, Documentation/x86/boot.rst: payload_offset, payload_length)."""
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if not payload.startswith(b"\xfd7zXZ"):
        raise ValueError(f"the kernel's payload starts with {payload[:6].hex()}, expected xz (fd377a585a00)")
    # the payload ends with the unpacked size, which is no part of the xz stream
    kernel = lzma.LZMADecompressor().decompress(payload)
    if not kernel.startswith(b"\x7fELF"):
        raise ValueError("the kernel's payload is no ELF file")
    return kernel


HYPERVISOR = Artefact("hypervisor", make)


def modules_root() -> Path:
    """A folder for modprobe -d and depmod -b."""
    return HYPERVISOR.get() / "root"


def kernel_version() -> str:
    return next((modules_root() / "lib" / "modules").iterdir()).name


def module_files(*names: str) -> list[Path]:
    """The files of these modules and of all they depend on, in loading order."""
    found: dict[Path, None] = {}
    for name in names:
        lines = sh(["modprobe", "-d", str(modules_root()), "-S", kernel_version(), "--show-depends", name])
        for line in lines.splitlines():
            if line.startswith("insmod "):
                found[Path(line.split()[1])] = None
    return list(found)
