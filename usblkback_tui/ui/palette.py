# SPDX-License-Identifier: MIT
"""Names of styles, and what they are in the theme of the day.

Panes name what a piece of text means (``good``, ``muted``, ``read``), never a colour.
"""

from __future__ import annotations

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.protocol.states import XenbusState

SHADES = 6
"""Steps of the chart gradients ``read0`` .. ``read5`` and ``write0`` .. ``write5``, dark to bright."""

HEAT_SHADES = 8
"""Steps of the heat map ``heat0`` .. ``heat7``, few requests to many."""

SEVERITY_STYLE = {
    Severity.INFO: "info",
    Severity.GOOD: "good",
    Severity.WARNING: "warning",
    Severity.ERROR: "error",
}
SEVERITY_SYMBOL = {Severity.INFO: "•", Severity.GOOD: "●", Severity.WARNING: "▲", Severity.ERROR: "✖"}

_STATE_STYLE = {
    XenbusState.CONNECTED: "good",
    XenbusState.CLOSED: "muted",
    XenbusState.UNKNOWN: "muted",
}


def state_style(state: XenbusState) -> str:
    """How a XenbusState is drawn: at rest, at work, or on its way."""
    return _STATE_STYLE.get(state, "warning")


class Palette:
    """The styles of one theme.  Asking for an unknown name raises KeyError."""

    def __init__(self, theme: Theme) -> None:
        variables = theme.to_color_system().generate()
        color = {name: Color.parse(variables[name]) for name in _NEEDED}
        ground, ink = color["background"], color["foreground"]
        blue = _toward(color["primary"], ink, 0.3)
        violet = _turned(blue, 0.2)
        red = _toward(color["error"], ink, 0.2)
        self._styles: dict[str, Style] = {
            "": Style.null(),
            "bold": Style(bold=True),
            "muted": _ink(_toward(ink, ground, 0.42)),
            "faint": _ink(_toward(ink, ground, 0.68)),
            "good": _ink(color["success"]),
            "warning": _ink(color["warning"]),
            "error": _ink(red),
            "info": _ink(blue),
            "title": _ink(blue),
            "key": _ink(blue) + Style(bold=True),
            "read": _ink(blue),
            "write": _ink(violet),
            "head": _ink(_toward(ink, ground, 0.18)) + _ground(color["panel"]) + Style(bold=True),
            "cursor": _ground(_toward(color["primary"], ground, 0.45)),
            "cursor-away": _ground(_toward(color["primary"], ground, 0.75)),
            "bar": _ground(color["panel"]),
            "fresh": _ink(ground) + _ground(color["success"]),
            "letter": _ink(ground) + _ground(color["warning"]) + Style(bold=True),
            "slot": Style(reverse=True),
            "found": _ink(color["warning"]) + Style(bold=True, underline=True),
            "tab": _ground(_toward(color["primary"], ground, 0.35)) + Style(bold=True),
            "alarm": _ink(ink if color["error"].brightness < 0.6 else ground)
            + _ground(color["error"])
            + Style(bold=True),
            "notice": _ink(ground) + _ground(color["warning"]) + Style(bold=True),
        }
        for name, bright in (("read", blue), ("write", violet)):
            for shade in range(SHADES):
                away = 0.55 * (SHADES - 1 - shade) / (SHADES - 1)
                self._styles[f"{name}{shade}"] = _ink(_toward(bright, ground, away))

        for shade in range(HEAT_SHADES):
            self._styles[f"heat{shade}"] = _heat(shade, color, blue, red)

    def style(self, name: str) -> Style:
        """The style of one name, or of several with blanks between them."""
        style = self._styles.get(name)
        if style is None:
            style = Style.combine([self._styles[word] for word in name.split()])
            self._styles[name] = style
        return style


_NEEDED = ("background", "foreground", "primary", "success", "warning", "error", "panel")


def _toward(color: Color, other: Color, share: float) -> Color:
    """A mix; a terminal's own colours cannot be mixed and stay as they are."""
    return color if color.ansi is not None or other.ansi is not None else color.blend(other, share, alpha=1.0)


def _heat(shade: int, color: dict[str, Color], blue: Color, red: Color) -> Style:
    """From the ground over blue and yellow to red; a terminal's own colours have only these three steps."""
    if blue.ansi is not None:
        names = ("ansi_blue", "ansi_cyan", "ansi_yellow", "ansi_bright_red")
        return _ink(Color.parse(names[shade * len(names) // HEAT_SHADES]))
    stops = (_toward(blue, color["background"], 0.65), blue, color["warning"], red)
    where = shade / (HEAT_SHADES - 1) * (len(stops) - 1)
    below = min(int(where), len(stops) - 2)
    return _ink(_toward(stops[below], stops[below + 1], where - below))


def _turned(color: Color, turn: float) -> Color:
    """The colour ``turn`` of the way round the wheel, as bright as it was; magenta among a terminal's own colours."""
    if color.ansi is not None:
        return Color.parse("ansi_magenta")
    hue, saturation, lightness = color.hsl
    return Color.from_hsl((hue + turn) % 1.0, saturation, lightness)


def _ink(color: Color) -> Style:
    return Style(color=color.rich_color)


def _ground(color: Color) -> Style:
    return Style(bgcolor=color.rich_color)
