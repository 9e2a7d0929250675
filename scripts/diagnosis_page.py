# SPDX-License-Identifier: MIT
"""Writes docs/diagnosis.md anew from the table of rules: ``.venv/bin/python scripts/diagnosis_page.py``."""

from __future__ import annotations

from pathlib import Path

from usblkback_tui.engine.diagnose.page import diagnosis_page

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "diagnosis.md").write_text(diagnosis_page(), encoding="utf-8")
