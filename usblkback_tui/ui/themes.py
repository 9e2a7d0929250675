# SPDX-License-Identifier: MIT
"""The operator's own themes, from ``[ui.themes.NAME]`` of the config file."""

from __future__ import annotations

import dataclasses

from textual.theme import Theme

from usblkback_tui.engine.settings import ThemeSettings


def own_theme(name: str, colours: ThemeSettings) -> Theme:
    """A theme of these colours; Textual derives those that are left out."""
    given = {key: value for key, value in dataclasses.asdict(colours).items() if value is not None}
    return Theme(name=name, **given)
