# SPDX-License-Identifier: MIT
"""How each part of the lab is made; one module per artefact.

hypervisor ─┬─ dom0_initrd ───────────────┐
            ├─ guest_initrd ── fio        │
            │      │                      ├─ states.BASE ── states.STAGED
rootfs ─────┴─ dom0_image ── wheels, grub ┘                     │
                                                  project ──────┘
"""

from threading import Thread

from . import dom0_image, initrd, rootfs, wheels


def build_all() -> None:
    """Build all artefacts below the frozen machines, the two slow halves side by side."""
    half = _Half()
    half.start()
    wheels.wheels().get()
    initrd.GUEST_INITRD.get()
    initrd.DOM0_INITRD.get()
    half.finish()
    dom0_image.dom0_image().get()


class _Half(Thread):
    """dom0's Debian tree: half of the time, and needed last."""

    def __init__(self) -> None:
        super().__init__(name="xen-lab-rootfs", daemon=True)
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            rootfs.ROOTFS.get()
        except BaseException as error:
            self._error = error

    def finish(self) -> None:
        self.join()
        if self._error:
            raise self._error
