# SPDX-License-Identifier: MIT
"""The C data path and its one Python face, :class:`~usblkback_tui.engine.datapath.ring.RingServer`."""
