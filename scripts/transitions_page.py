# SPDX-License-Identifier: MIT
"""Writes docs/transitions.md anew from the transition table: ``.venv/bin/python scripts/transitions_page.py``."""

from __future__ import annotations

from pathlib import Path

from usblkback_tui.protocol.transitions import transitions_page

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "transitions.md").write_text(transitions_page(), encoding="utf-8")
