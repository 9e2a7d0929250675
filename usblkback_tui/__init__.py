# SPDX-License-Identifier: MIT
"""A completely userspace block backend for Xen guests, with a terminal UI."""

__version__ = "0.1.0"
