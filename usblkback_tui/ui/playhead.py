# SPDX-License-Identifier: MIT
"""Which moment the screens show: the newest, one that is held, or one gone back to."""

from __future__ import annotations

from usblkback_tui.ui.model import Model
from usblkback_tui.ui.moments import Moment
from usblkback_tui.ui.scene import Scene

Key = tuple[int, int]


class Playhead:
    """The operator's place in time."""

    def __init__(self) -> None:
        self.held: Moment | None = None
        self.frozen = False
        """Held by freezing; else gone back to."""
        self.cursor = 0
        """The time cursor of charts, in dots before the end."""

    @property
    def live(self) -> bool:
        """The newest moment is shown."""
        return self.held is None

    def scene(self, model: Model, selected: Key | None) -> Scene | None:
        """What to draw."""
        return model.scene(selected, held=self.held, frozen=self.frozen, cursor=self.cursor)

    def freeze(self, model: Model) -> None:
        """Hold what is shown, or go back to live."""
        if self.held is not None:
            self.go_live()
        else:
            self.held, self.frozen = model.moment(), True

    def scrub(self, model: Model, by: int) -> None:
        """Go ``by`` moments forth; beyond the newest is live."""
        newest = model.moments.newest
        if newest is None or (self.held is None and by > 0):
            return
        at = self.held.number if self.held is not None else newest.number
        if at + by > newest.number:
            self.go_live()
            return
        self.held, self.frozen = model.moments.near(at + by), False

    def go_to(self, model: Model, wanted: float) -> None:
        """Go to the moment at a time in seconds since 1970; beyond the newest is live."""
        newest = model.moments.newest
        if newest is None or wanted > newest.snapshot.time:
            self.go_live()
            return
        place = newest.snapshot.monotonic - (newest.snapshot.time - wanted)
        self.held, self.frozen = model.moments.near(model.moments.number_at(place)), False

    def go_live(self) -> None:
        """Show the newest moment again."""
        self.held, self.frozen = None, False

    def move_cursor(self, *, by: int = 0, to: int | None = None, most: int = 4000) -> None:
        """Move the time cursor of charts."""
        self.cursor = max(0, min(self.cursor + by if to is None else to, most))
