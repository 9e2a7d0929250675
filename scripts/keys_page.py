# SPDX-License-Identifier: MIT
"""Writes docs/keys.md anew from the registry of actions: ``.venv/bin/python scripts/keys_page.py``."""

from __future__ import annotations

from pathlib import Path

from usblkback_tui.ui.actions import keys_page

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "keys.md").write_text(keys_page(), encoding="utf-8")
