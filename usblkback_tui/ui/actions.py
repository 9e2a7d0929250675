# SPDX-License-Identifier: MIT
"""Everything a key can do, said once: bindings, footer, help screen and command palette are made of this list."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Action:
    """One thing an operator can do.

    ``where`` says who carries it out: ``app`` anywhere, ``main`` the main screen, ``pane`` the pane that has the focus,
    ``dialog`` a question on the screen.  ``name`` is the method ``action_<name>`` there, arguments included.
    """

    name: str
    keys: tuple[str, ...]
    label: str
    """One or two words for the footer."""
    help: str
    """A sentence for the help screen and the palette."""
    group: str
    where: str = "main"
    footer: int = 0
    """Its rank in the footer, 1 being kept longest; 0 is not shown."""

    @property
    def keycaps(self) -> str:
        """The keys as people write them: ``j ↓``."""
        return " ".join(_KEYCAPS.get(key, key.replace("ctrl+", "^")) for key in self.keys)

    @property
    def keycap(self) -> str:
        """The first of its keys."""
        return self.keycaps.split()[0]


_KEYCAPS = {
    "up": "↑",
    "down": "↓",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "space": "Space",
    "tab": "Tab",
    "shift+tab": "⇧Tab",
    "escape": "Esc",
    "enter": "Enter",
}

ACTIONS: tuple[Action, ...] = (
    Action("attach", ("a",), "attach", "Attach an image to a running domain.", "Disks", footer=2),
    Action("detach", ("d",), "detach", "Detach the selected disk after a question.", "Disks", footer=3),
    Action(
        "force_detach", ("D",), "force", "Take the selected disk away, whatever the guest does.", "Disks", footer=11
    ),
    Action("resize", ("r",), "resize", "Give the selected disk another size while it is used.", "Disks", footer=10),
    Action("copy", ("y",), "copy", "Copy the selected disk as text (OSC 52, works over ssh).", "Disks", footer=9),
    Action(
        "filter",
        ("slash",),
        "filter",
        "Show only disks that match; !word hides, dom:word looks at the domain.",
        "Table",
        footer=4,
    ),
    Action("problems", ("z",), "problems", "Show only disks that are not well.", "Table", footer=6),
    Action("sort_next", ("s",), "sort", "Sort by the next column.", "Table", footer=7),
    Action("sort_previous", ("S",), "sort back", "Sort by the previous column.", "Table"),
    Action("sort_reverse", ("o",), "order", "Turn the order around.", "Table", footer=12),
    Action("freeze", ("space",), "freeze", "Hold the view still; counting goes on.", "View", footer=5),
    Action("zoom_in", ("plus", "equals_sign"), "zoom in", "Less time in the charts.", "View", footer=10),
    Action("zoom_out", ("minus",), "zoom out", "More time in the charts.", "View", footer=10),
    Action("chart_scope", ("c",), "all/one", "Charts of all disks, or of the selected one.", "View", footer=13),
    Action("pane('handshake')", ("1",), "handshake", "The handshake of the selected disk.", "Panes"),
    Action("pane('charts')", ("2",), "charts", "IOPS and throughput over time.", "Panes"),
    Action("pane('detail')", ("3",), "detail", "Rings, grants and totals of the selected disk.", "Panes"),
    Action("pane('events')", ("4",), "events", "What happened, newest last.", "Panes"),
    Action("pane('domains')", ("5",), "domains", "Domains and their disks.", "Panes"),
    Action("next_pane", ("tab",), "next pane", "Go to the next pane.", "Panes"),
    Action("previous_pane", ("shift+tab",), "previous pane", "Go to the previous pane.", "Panes"),
    Action("back", ("escape",), "back", "Clear the filter, unfreeze, return to the table.", "Panes"),
    Action("cursor_up", ("up", "k"), "up", "One row up.", "Move", where="pane"),
    Action("cursor_down", ("down", "j"), "down", "One row down.", "Move", where="pane"),
    Action("page_up", ("pageup",), "page up", "One page up.", "Move", where="pane"),
    Action("page_down", ("pagedown",), "page down", "One page down.", "Move", where="pane"),
    Action("first", ("home", "g"), "first", "To the first row.", "Move", where="pane"),
    Action("last", ("end", "G"), "last", "To the last row.", "Move", where="pane"),
    Action("choose", ("enter",), "choose", "On a domain: show only its disks.", "Move", where="pane"),
    Action("help", ("question_mark",), "help", "Every key and what it does.", "Program", where="app", footer=1),
    Action("command_palette", ("ctrl+p",), "palette", "Find an action by its name.", "Program", where="app", footer=8),
    Action(
        "quit", ("q", "ctrl+q"), "quit", "Leave; asks first while disks are attached.", "Program", where="app", footer=1
    ),
    Action(
        "interrupt",
        ("ctrl+c",),
        "quit",
        "Leave; a second time while detaching offers to leave at once.",
        "Program",
        where="app",
    ),
    Action("close", ("escape",), "close", "Close the question without doing anything.", "Questions", where="dialog"),
)

GROUPS = ("Disks", "Table", "View", "Panes", "Move", "Questions", "Program")
_KEYCAPS |= {"slash": "/", "question_mark": "?", "plus": "+", "equals_sign": "=", "minus": "-"}
_ALWAYS = {"interrupt", "quit"}
"""Reach the app before an input field may take the key."""


def bindings(where: str) -> list[BindingType]:
    """The Textual bindings of one place.  Letters never have priority: a field must be able to take them."""
    return [
        Binding(
            key,
            action.name,
            action.label,
            show=False,
            priority=action.name in _ALWAYS and key.startswith("ctrl+"),
            tooltip=action.help,
        )
        for action in ACTIONS
        if action.where == where
        for key in action.keys
    ]


def footer_actions() -> list[Action]:
    """What the footer shows, the most important first."""
    return sorted((action for action in ACTIONS if action.footer), key=lambda action: action.footer)
