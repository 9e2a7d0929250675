# SPDX-License-Identifier: MIT
"""A pane of styled lines that repaints only the cells that changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from usblkback_tui.ui.actions import bindings
from usblkback_tui.ui.palette import Palette
from usblkback_tui.ui.text import Line, changed_cells


class LineView(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows lines, scrolls through them, and keeps what is on the terminal when a line stays the same."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("pane")

    DEFAULT_CSS = """
    LineView {
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
        overflow-x: hidden;
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None, follow: bool = False) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: tuple[Line, ...] = ()
        self.painted = 0
        """Rows given to Textual, for whoever asks what the screen costs."""
        self._base: Style | None = None
        """The pane's own style until it changes: Textual works it out from all ancestors each time it is asked."""
        self._follow = follow
        """Stay at the end when lines are added there, unless the operator scrolled away from it."""

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown, scrolled-away lines included."""
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the content."""
        old, new = self._lines, tuple(lines)
        if old == new:
            return
        at_end = self._follow and self.scroll_offset.y >= self.max_scroll_y
        self._lines = new
        if len(old) != len(new):
            self.virtual_size = Size(self.size.width, len(new))
            self.refresh()
            if at_end:
                self.call_after_refresh(self.scroll_end, animate=False)
            return
        top = self.scroll_offset.y
        height = self.size.height
        rows = enumerate(zip(old[top : top + height], new[top : top + height], strict=True))
        self.repaint((y, was, now) for y, (was, now) in rows)

    def repaint(self, rows: Iterable[tuple[int, Line, Line]]) -> None:
        """Repaint the cells in which the old and the new line of a viewport row differ."""
        width = self.size.width
        regions = []
        for y, was, now in rows:
            if was is not now and (changed := changed_cells(was, now)) is not None:
                first, end = changed
                last = width if end is None else min(end, width)
                if last > first:
                    regions.append(Region(first, y, last - first, 1))
        if regions:
            self.refresh(*regions)

    def line_at(self, y: int) -> Line:
        """The line in viewport row ``y``."""
        index = y + self.scroll_offset.y
        return self._lines[index] if 0 <= index < len(self._lines) else ()

    def line_ground(self, y: int) -> str:
        """The style under the whole of viewport row ``y``."""
        return ""

    def render_line(self, y: int) -> Strip:
        """One row of the terminal, for Textual."""
        self.painted += 1
        palette = self.palette
        base = self._base = self._base or self.rich_style
        if ground := self.line_ground(y):
            base += palette.style(ground)
        line = self.line_at(y)
        strip = Strip([Segment(text, base + palette.style(style) if style else base) for text, style in line])
        width = self.size.width
        if strip.cell_length > width > 1:
            cut = strip.crop(0, width - 1)
            last = next((segment.style for segment in reversed(list(cut))), None)
            return Strip.join([cut, Strip([Segment("…", last or base)])])
        return strip.crop_extend(0, width, _plain_ground(base))

    def notify_style_update(self) -> None:
        """From Textual: the stylesheet gave other styles, be it for another theme or for the focus."""
        self._base = None
        super().notify_style_update()

    @property
    def palette(self) -> Palette:
        """The styles of the app's theme."""
        return cast(Any, self.app).palette  # type: ignore[no-any-return]

    def action_cursor_up(self) -> None:
        self.scroll_relative(y=-1, animate=False)

    def action_cursor_down(self) -> None:
        self.scroll_relative(y=1, animate=False)

    def action_cursor_left(self) -> None:
        """Nothing lies at the left in a pane without a cursor."""

    def action_cursor_right(self) -> None:
        """Nor at the right."""

    def action_page_up(self) -> None:
        self.scroll_relative(y=-max(self.size.height - 1, 1), animate=False)

    def action_page_down(self) -> None:
        self.scroll_relative(y=max(self.size.height - 1, 1), animate=False)

    def action_first(self) -> None:
        self.scroll_to(y=0, animate=False)

    def action_last(self) -> None:
        self.scroll_end(animate=False)

    def action_choose(self) -> None:
        """Nothing to choose in a pane without a cursor."""


def _plain_ground(style: Style) -> Style:
    return Style(color=style.color, bgcolor=style.bgcolor)
