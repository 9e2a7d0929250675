# SPDX-License-Identifier: MIT
"""Tests against real Xen: hypervisor, dom0 and PV guests in QEMU's software emulation."""
