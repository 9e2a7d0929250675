# SPDX-License-Identifier: MIT
"""A static fio for the guests; Debian's own links fifty libraries."""

from pathlib import Path

from ..cache import Artefact
from ..host import own_apt, sh

LEFT_OUT = ("rados", "rbd", "http", "gfapi", "rdma", "libzbc", "xnvme", "pmem", "numa", "native")


def make(folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    sh(f"apt-get {own_apt()} source -qq --download-only fio", cwd=source)
    disabled = " ".join(f"--disable-{name}" for name in LEFT_OUT)
    sh(
        f"tar --strip-components=1 -xzf fio_*.orig.tar.gz\n"
        f"./configure --build-static {disabled}\n"
        # --disable-native alone leaves -march=native in: illegal instructions on the emulated processor
        f"sed -i /CONFIG_BUILD_NATIVE/d config-host.mak\n"
        f"make -j2 fio LDFLAGS='-static -Wl,-z,muldefs'\n"
        f"strip -o ../fio fio\n"
        f"cd ..; rm -r source",
        cwd=source,
    )


FIO = Artefact("fio", make)
