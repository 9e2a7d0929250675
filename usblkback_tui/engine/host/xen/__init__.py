# SPDX-License-Identifier: MIT
"""Xen on Linux: libxenstore, libxengnttab and libxenevtchn, opened at run time; nothing of Xen is needed to build."""

from usblkback_tui.engine.host.xen.host import XenHost

__all__ = ["XenHost"]
