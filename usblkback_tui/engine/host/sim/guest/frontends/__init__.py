# SPDX-License-Identifier: MIT
"""The frontends a guest can have, each described in the steps it takes."""

from __future__ import annotations

from usblkback_tui.engine.host.sim.guest.frontends.base import Frontend
from usblkback_tui.engine.host.sim.guest.frontends.freebsd import FreeBsd
from usblkback_tui.engine.host.sim.guest.frontends.grub import Grub
from usblkback_tui.engine.host.sim.guest.frontends.illumos import Illumos
from usblkback_tui.engine.host.sim.guest.frontends.linux import Linux
from usblkback_tui.engine.host.sim.guest.frontends.minios import MiniOs
from usblkback_tui.engine.host.sim.guest.frontends.netbsd import NetBsd
from usblkback_tui.engine.host.sim.guest.frontends.ovmf import Ovmf
from usblkback_tui.engine.host.sim.guest.frontends.uboot import UBoot
from usblkback_tui.engine.host.sim.guest.frontends.winvbd import Winvbd

FRONTENDS: dict[str, type[Frontend]] = {
    frontend.name: frontend for frontend in (Linux, Winvbd, Ovmf, Grub, UBoot, MiniOs, FreeBsd, NetBsd, Illumos)
}
