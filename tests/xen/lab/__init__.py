# SPDX-License-Identifier: MIT
"""A Xen machine in a box: Xen, a Debian dom0 and PV guests under QEMU, without KVM and without root.

cache.py    artefacts named by a hash of what they were built from
host.py     Debian packages the lab needs on the machine it runs on
recipes/    how each artefact is made
states.py   machines frozen while running; a test starts from one in under a second
machine.py  one QEMU process: boot, restore, freeze
link.py     commands in dom0, side by side, over a virtio serial port
dom0.py     what a test does in dom0
guest.py    what a test does in a guest, over its PV console
inside/     what runs in dom0 and in the guests
"""
