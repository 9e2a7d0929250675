# SPDX-License-Identifier: MIT
"""Everything a key can do, said once: bindings, footer, help, palette and docs/keys.md are made of this list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from textual.binding import Binding, BindingType

from usblkback_tui.protocol.errors import UserError


@dataclass(frozen=True, slots=True)
class Action:
    """One thing an operator can do.

    ``where`` says who carries it out: ``app`` anywhere, ``main`` the main screen, ``pane`` the pane that has the focus,
    ``log`` the event log while it has it, ``dialog`` a question on the screen, ``columns`` the list of columns in one,
    or the name of a view.  ``name`` is the method ``action_<name>`` there, arguments included.  ``replay`` is the main
    screen, too, while a recording is looked at.
    """

    name: str
    keys: tuple[str, ...]
    label: str
    """One or two words for the footer."""
    help: str
    """A sentence for the help screen, the palette and the docs."""
    group: str
    where: str = "main"
    footer: int = 0
    """Its rank in the footer, 1 being kept longest; 0 is not shown."""
    changes: bool = False
    """It changes disks or the store, so it is off with ``--read-only``."""

    @property
    def id(self) -> str:
        """What it is called in ``[keys]``: ``force_detach``, ``screen_rings``."""
        return re.sub(r"\W+", "_", self.name.replace("-", "back_")).strip("_")

    @property
    def keycaps(self) -> str:
        """The keys as people write them: ``j ↓``."""
        return " ".join(keycap(key) for key in self.keys)

    @property
    def keycap(self) -> str:
        """The first of its keys."""
        return keycap(self.keys[0]) if self.keys else ""


_KEYCAPS = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "space": "Space",
    "tab": "Tab",
    "shift+tab": "⇧Tab",
    "escape": "Esc",
    "enter": "Enter",
    "delete": "Del",
    "slash": "/",
    "question_mark": "?",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "comma": ",",
    "full_stop": ".",
    "colon": ":",
    "apostrophe": "'",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "ampersand": "&",
    "left_parenthesis": "(",
    "right_parenthesis": ")",
}


def keycap(key: str) -> str:
    """A key as people write it."""
    return _KEYCAPS.get(key, key.replace("ctrl+", "^"))


VIEWS = ("overview", "handshake", "rings", "latency", "store", "trace", "engine")
"""The screens, in the order of their digits."""

ACTIONS: tuple[Action, ...] = (
    Action("attach", ("a",), "attach", "Attach an image to a running domain.", "Disks", footer=2, changes=True),
    Action("detach", ("d",), "detach", "Detach the selected disk after a question.", "Disks", footer=3, changes=True),
    Action(
        "force_detach",
        ("D",),
        "force",
        "Take the selected disk away, whatever the guest does.",
        "Disks",
        footer=30,
        changes=True,
    ),
    Action(
        "resize",
        ("R",),
        "resize",
        "Give the selected disk another size while it is used.",
        "Disks",
        footer=22,
        changes=True,
    ),
    Action("next_disk", ("J",), "next disk", "Select the next disk, on every screen.", "Disks", footer=21),
    Action("previous_disk", ("K",), "previous disk", "Select the previous disk.", "Disks"),
    Action("copy", ("y",), "copy", "Copy what is under the cursor (OSC 52, works over ssh).", "Disks", footer=14),
    Action("evidence", ("Y",), "evidence", "Copy all that is known of the selected disk as Markdown.", "Disks"),
    Action("export", ("x",), "export", "Write this screen to a file: CSV, JSON or SVG.", "Disks", footer=25),
    Action(
        "freeze",
        ("space",),
        "freeze",
        "Hold every pane still; counting goes on. Again: back to live.",
        "Time",
        footer=6,
    ),
    Action("scrub(-1)", ("left_square_bracket",), "back", "Go back one second on every pane.", "Time", footer=8),
    Action("scrub(1)", ("right_square_bracket",), "forth", "Go forth one second.", "Time", footer=8),
    Action("scrub(-30)", ("left_curly_bracket",), "back 30 s", "Go back half a minute.", "Time"),
    Action("scrub(30)", ("right_curly_bracket",), "forth 30 s", "Go forth half a minute.", "Time"),
    Action("goto", ("T",), "go to time", "Go to a time, or so far back or forth.", "Time", footer=29),
    Action("live", ("end",), "live", "Back to live; when live, to the last row.", "Time", footer=24),
    Action(
        "record",
        ("r",),
        "record",
        "Record to a file in this directory, or end that; replay shows it.",
        "Time",
        footer=23,
    ),
    Action("play", ("p",), "play/pause", "Of a recording: play on, or stand still.", "Time", where="replay", footer=5),
    Action(
        "seek(-60)", ("less_than_sign",), "-1 min", "Of a recording: a minute back.", "Time", where="replay", footer=5
    ),
    Action(
        "seek(60)", ("greater_than_sign",), "+1 min", "Of a recording: a minute on.", "Time", where="replay", footer=5
    ),
    Action("frame(-1)", ("b",), "frame back", "Of a recording: to the frame before.", "Time", where="replay"),
    Action("frame(1)", ("f",), "frame", "Of a recording: to the next frame.", "Time", where="replay", footer=11),
    Action("speed(-1)", ("left_parenthesis",), "slower", "Of a recording: play slower.", "Time", where="replay"),
    Action(
        "speed(1)", ("right_parenthesis",), "faster", "Of a recording: play faster.", "Time", where="replay", footer=11
    ),
    Action("zoom_in", ("plus", "equals_sign"), "zoom in", "Less time in charts and heat map.", "Time", footer=20),
    Action("zoom_out", ("minus",), "zoom out", "More time in charts and heat map.", "Time", footer=20),
    Action("screen('overview')", ("1",), "overview", "All disks, and what happens.", "Screens"),
    Action("screen('handshake')", ("2",), "handshake", "Both ends of the selected disk against time.", "Screens"),
    Action("screen('rings')", ("3",), "rings", "The selected disk's rings, slot by slot.", "Screens"),
    Action("screen('latency')", ("4",), "latency", "Heat map, percentiles and charts.", "Screens"),
    Action("screen('store')", ("5",), "xenstore", "The keys of xenstore.", "Screens"),
    Action("screen('trace')", ("6",), "trace", "The last requests of the selected disk.", "Screens"),
    Action("screen('engine')", ("7",), "engine", "Threads of the engine, and what this program costs.", "Screens"),
    Action(
        "filter",
        ("slash",),
        "filter",
        "Show only what matches: words or regexes, !word hides, dom:web looks at one field, p99>5ms compares. "
        "In the event log: search it.",
        "Table",
        footer=4,
    ),
    Action("problems", ("z",), "problems", "Show only disks that are not well.", "Table", footer=7),
    Action("sort_next", ("s",), "sort", "Sort by the next column.", "Table", footer=9),
    Action("sort_previous", ("S",), "sort back", "Sort by the previous column.", "Table"),
    Action("sort_reverse", ("o",), "order", "Turn the order around.", "Table", footer=31),
    Action("columns", ("w",), "columns", "Choose and order the columns of the table.", "Table", footer=26),
    Action("expand", ("e",), "expand", "Give the whole screen to this pane, or give it back.", "Panes", footer=10),
    Action("chart_scope", ("c",), "all/one", "Charts of all disks, or of the selected one.", "Panes", footer=28),
    Action("next_pane", ("tab",), "next pane", "Go to the next pane.", "Panes", footer=27),
    Action("previous_pane", ("shift+tab",), "previous pane", "Go to the previous pane.", "Panes"),
    Action("jump", ("ctrl+o", "apostrophe"), "jump", "Show a letter on every pane; press it to go there.", "Panes"),
    Action("back", ("escape",), "back", "Undo what hides something: filter, expanded pane, freeze.", "Panes"),
    Action("cursor_up", ("up", "k"), "up", "One row up.", "Move", where="pane"),
    Action("cursor_down", ("down", "j"), "down", "One row down.", "Move", where="pane"),
    Action(
        "cursor_left", ("left", "h"), "left", "To the left: slot, time cursor; close a branch.", "Move", where="pane"
    ),
    Action(
        "cursor_right", ("right", "l"), "right", "To the right: slot, time cursor; open a branch.", "Move", where="pane"
    ),
    Action("page_up", ("pageup",), "page up", "One page up.", "Move", where="pane"),
    Action("page_down", ("pagedown",), "page down", "One page down.", "Move", where="pane"),
    Action("first", ("home", "g"), "first", "To the first row.", "Move", where="pane"),
    Action("last", ("G",), "last", "To the last row.", "Move", where="pane"),
    Action("choose", ("enter",), "choose", "Open what is under the cursor.", "Move", where="pane"),
    Action("step(-1)", ("comma",), "step back", "To the transition before.", "Screens", where="handshake", footer=5),
    Action("step(1)", ("full_stop",), "step", "To the transition after.", "Screens", where="handshake", footer=5),
    Action("operation", ("m",), "reads/writes", "Reads, writes or both.", "Screens", where="latency", footer=5),
    Action(
        "edit",
        ("E",),
        "edit",
        "Change the value of the key under the cursor, after a question.",
        "Screens",
        where="store",
        footer=5,
        changes=True,
    ),
    Action("match(1)", ("n",), "next match", "Of a search in the event log: the next match.", "Log", where="log"),
    Action("match(-1)", ("N",), "match before", "Of a search in the event log: the match before.", "Log", where="log"),
    Action(
        "matching_only",
        ("ampersand",),
        "only matches",
        "Of a search in the event log: hide what does not match, or show it again.",
        "Log",
        where="log",
    ),
    Action(
        "level",
        ("v",),
        "severity",
        "Of the event log: show everything, warnings and errors, or errors alone.",
        "Log",
        where="log",
    ),
    Action("help", ("question_mark", "f1"), "help", "Every key and what it does.", "Program", where="app", footer=1),
    Action(
        "command_palette",
        ("ctrl+p", "colon"),
        "palette",
        "Find an action by its name.",
        "Program",
        where="app",
        footer=12,
    ),
    Action("refresh(1)", ("i",), "faster", "Look at the engine more often.", "Program", where="app"),
    Action("refresh(-1)", ("I",), "slower", "Look at the engine less often.", "Program", where="app"),
    Action("change_theme", ("t",), "theme", "Choose other colours.", "Program", where="app", footer=32),
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
    Action(
        "move(-1)",
        ("left", "h"),
        "to the left",
        "Of the columns dialog: the column under the cursor further to the left.",
        "Questions",
        where="columns",
    ),
    Action(
        "move(1)",
        ("right", "l"),
        "to the right",
        "Of the columns dialog: the column under the cursor further to the right.",
        "Questions",
        where="columns",
    ),
    Action("close", ("escape",), "close", "Close the question without doing anything.", "Questions", where="dialog"),
)

GROUPS = ("Disks", "Time", "Screens", "Table", "Panes", "Move", "Log", "Questions", "Program")
_NO_KEY = "no_key"
"""A key that no keyboard has."""
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
            id=action.id,
        )
        for action in ACTIONS
        if action.where == where
        for key in action.keys
    ]


def places(view: str) -> tuple[str, ...]:
    """Everything that may take a key while a view is shown."""
    return ("app", "main", "pane", "replay", view, *(("log",) if view == "overview" else ()))


class Registry:
    """The actions with the keys that an operator gave them."""

    def __init__(self, keys: Mapping[str, Sequence[str]] | None = None) -> None:
        """``keys``: by action id, the keys in place of the usual ones.  Raises UserError."""
        keys = keys or {}
        known = {action.id for action in ACTIONS}
        for name in keys:
            if name not in known:
                raise UserError(
                    f"[keys] names {name!r}, which is no action",
                    fix="docs/keys.md lists them",
                    key=name,
                )
        self.changed = {name: tuple(given) for name, given in keys.items()}
        self.actions = tuple(replace(action, keys=self.changed.get(action.id, action.keys)) for action in ACTIONS)
        if clash := first_clash(self.actions):
            key, one, other = clash
            raise UserError(
                f"[keys] gives {keycap(key)!r} to {other.id}, but it is the key of {one.id}",
                fix=f"give {one.id} another key too",
                key=other.id,
                value=key,
            )

    @property
    def keymap(self) -> dict[str, str]:
        """The changes, for Textual, which takes an empty one for none."""
        return {name: ",".join(keys) or _NO_KEY for name, keys in self.changed.items()}

    def footer(self, view: str, *, read_only: bool = False, replay: bool = False) -> list[Action]:
        """What the footer of a view shows, the most important first."""
        shown = [
            action
            for action in self.actions
            if action.footer
            and action.keys
            and action.where in places(view)
            and not (read_only and action.changes)
            and (replay or action.where != "replay")
            and not (replay and action.name == "record")
        ]
        return sorted(shown, key=lambda action: action.footer)


def first_clash(actions: Iterable[Action]) -> tuple[str, Action, Action] | None:
    """A key that would do two things at one place, and both of them."""
    several = list(actions)
    in_dialogs = ("app", "dialog", "pane"), ("app", "dialog", "columns")
    for here in (*map(places, VIEWS), *in_dialogs):
        seen: dict[str, Action] = {}
        for action in several:
            if action.where not in here:
                continue
            for key in action.keys:
                if (other := seen.setdefault(key, action)) is not action:
                    return key, other, action
    return None


def keys_page() -> str:
    """docs/keys.md."""
    lines = [
        "# Keys",
        "",
        "Made from the registry of actions (`usblkback_tui/ui/actions.py`) by `scripts/keys_page.py`.",
        "",
        "Every key can be changed in the config file; the name of an action is the one in the last column:",
        "",
        "```toml",
        "[keys]",
        'attach = ["A"]',
        'freeze = ["space", "f"]',
        "```",
        "",
        "Keys are named as Textual names them: letters as they are, `slash`, `space`, `ctrl+o`, `f5`, `left`.",
        "Actions marked ◆ change disks or xenstore and are off with `--read-only`.",
    ]
    for group in GROUPS:
        lines += ["", f"## {group}", "", "| key | does | name |", "| --- | --- | --- |"]
        for action in ACTIONS:
            if action.group == group:
                caps = " ".join(f"`{keycap(key)}`" for key in action.keys)
                place = f" ({action.where} screen)" if action.where in VIEWS else ""
                mark = " ◆" if action.changes else ""
                lines.append(f"| {caps} | {action.help}{place}{mark} | `{action.id}` |")
    return "\n".join(lines) + "\n"
