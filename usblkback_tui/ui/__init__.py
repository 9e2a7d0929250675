# SPDX-License-Identifier: MIT
"""The terminal UI: screens over a :class:`~usblkback_tui.engine.api.Backend`."""
