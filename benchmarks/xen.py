# SPDX-License-Identifier: MIT
"""``xen``: a real Linux guest's fio on disks of ours, of the kernel's blkback and of QEMU, side by side on one Xen machine."""
