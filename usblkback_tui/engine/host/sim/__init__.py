# SPDX-License-Identifier: MIT
"""A whole small hypervisor for a machine without Xen.

``host.SimHost`` is the seam; ``hypervisor.Hypervisor`` owns the store, the domains and their event channels; ``guest``
is what runs inside a domain, in a process of its own.  That process imports this package too, so nothing is loaded
before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usblkback_tui.engine.host.sim.host import SimHost
    from usblkback_tui.engine.host.sim.hypervisor import Hypervisor
    from usblkback_tui.engine.host.sim.load import DiskReport, GuestOptions, Load, Report
    from usblkback_tui.engine.host.sim.machine import SimGuest

__all__ = ["DiskReport", "GuestOptions", "Hypervisor", "Load", "Report", "SimGuest", "SimHost"]

_HOMES = {"SimHost": "host", "Hypervisor": "hypervisor", "SimGuest": "machine"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'load')}"), name)
