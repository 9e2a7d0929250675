# SPDX-License-Identifier: MIT
"""The rings of a disk, slot by slot, and one slot decoded."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult

from usblkback_tui.engine.api import Backend
from usblkback_tui.engine.inspection import RingSlots
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.ui.ringblock import change_of, ring_lines
from usblkback_tui.ui.scene import Scene
from usblkback_tui.ui.slotdetail import slot_lines
from usblkback_tui.ui.slotstrip import slots_per_cell
from usblkback_tui.ui.text import Line
from usblkback_tui.ui.views.base import Look, Pane, View, disk_title, of_disk

LABEL = 10
"""Cells left of a strip."""


class RingsPane(Pane):
    """All rings, one below the other; up and down choose one, left and right a slot of it."""

    def __init__(self, view: RingsView) -> None:
        super().__init__(
            "rings",
            of_disk(view.ring_blocks, "rings"),
            title=disk_title("Rings"),
            made_of=lambda scene: (scene.disk and scene.disk.rings, scene.earlier and id(scene.earlier[1]), view.at),
        )
        self._view = view

    def action_cursor_up(self) -> None:
        self._view.move(ring=-1)

    def action_cursor_down(self) -> None:
        self._view.move(ring=1)

    def action_cursor_left(self) -> None:
        self._view.move(slot=-1)

    def action_cursor_right(self) -> None:
        self._view.move(slot=1)

    def action_choose(self) -> None:
        self._view.look_again()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None:
            self._view.click(offset.x, offset.y + self.scroll_offset.y, self.size.width)


class RingsView(View):
    """Strips above, the slot under the cursor below."""

    NAME = "rings"
    TITLE = "Rings"
    FIRST = "#rings"

    def __init__(self) -> None:
        super().__init__()
        self.at = (0, 0)
        """Ring and slot under the cursor, as positions."""
        self._tops: list[int] = []
        """The first line of each ring."""
        self._strip = 1
        """The line of a ring's strip, counted from its first."""
        self._slots: RingSlots | None = None
        self._of: tuple[tuple[int, int], int] | None = None
        """Disk and ring the slots are of."""
        self._problem = ""

    def compose(self) -> ComposeResult:
        yield RingsPane(self)
        yield Pane(
            "slot",
            of_disk(self._slot, "slots"),
            title=lambda scene: "Slot",
            made_of=lambda scene: (
                scene.disk and (scene.disk.key, bool(scene.disk.rings)),
                self._slots,
                self.at,
                self._problem,
                scene.live,
            ),
        )

    # -- drawing -------------------------------------------------------------------------------------------------

    def ring_blocks(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        """Every ring of the disk."""
        disk = scene.disk
        assert disk is not None
        if not disk.rings:
            self._tops = []
            return [(("No ring: the ends are not connected, or somebody else serves the disk.", "muted"),)]
        chosen, slot = self._place(disk)
        lines: list[Line] = []
        self._tops = []
        for at, ring in enumerate(disk.rings):
            if lines:
                lines.append(())
            self._tops.append(len(lines))
            here = at == chosen
            block = ring_lines(
                ring,
                change_of(disk, ring, scene.earlier),
                width,
                under_cursor=here and len(disk.rings) > 1,
                cursor=slot if here else None,
            )
            self._strip = next((y for y, line in enumerate(block) if line and line[0][0].startswith("slots")), 1)
            lines += block
        return lines

    def _place(self, disk: DiskView) -> tuple[int, int]:
        ring = min(self.at[0], len(disk.rings) - 1)
        return ring, self.at[1] % max(disk.rings[ring].slots, 1)

    def _slot(self, scene: Scene, width: int, height: int) -> Sequence[Line]:
        disk = scene.disk
        assert disk is not None
        if not disk.rings:
            return []
        ring, slot = self._place(disk)
        if self._problem:
            return [((self._problem, "warning"),)]
        if self._slots is None or self._of != (disk.key, ring):
            text = "Slots are read while the view is live." if not scene.live else "Reading the ring…"
            return [((text, "muted"),)]
        return slot_lines(self._slots, slot, width)

    # -- moving --------------------------------------------------------------------------------------------------

    def move(self, *, ring: int = 0, slot: int = 0) -> None:
        """Move the cursor."""
        disk = self.scene.disk if self.scene else None
        if disk is None or not disk.rings:
            return
        at, number = self._place(disk)
        at = max(0, min(at + ring, len(disk.rings) - 1))
        self._go(at, (number + slot) % max(disk.rings[at].slots, 1))

    def _go(self, ring: int, slot: int) -> None:
        self.at = ring, slot
        for pane in self.query(Pane):
            pane.redraw()
        rings = self.query_one("#rings", RingsPane)
        if ring < len(self._tops):
            top = self._tops[ring]
            if not rings.scroll_offset.y <= top < rings.scroll_offset.y + max(rings.size.height - 4, 1):
                rings.scroll_to(y=top, animate=False)

    def click(self, x: int, line: int, width: int) -> None:
        """A click on a ring chooses it, one on its strip the slot too."""
        disk = self.scene.disk if self.scene else None
        if disk is None or not disk.rings:
            return
        ring = max((at for at, top in enumerate(self._tops) if top <= line), default=0)
        slot = self.at[1]
        strip = self._tops[ring] + self._strip
        if line in (strip, strip + 1) and x >= LABEL:
            slot = (x - LABEL) * slots_per_cell(disk.rings[ring].slots, width - LABEL)
            slot = min(slot, disk.rings[ring].slots - 1)
        self._go(ring, slot)

    # -- a closer look -------------------------------------------------------------------------------------------

    def look(self) -> Look | None:
        disk = self.scene.disk if self.scene else None
        if disk is None or not disk.rings:
            return None
        ring = self._place(disk)[0]
        domid, devid = disk.key

        def slots(backend: Backend) -> tuple[tuple[tuple[int, int], int], RingSlots]:
            return ((domid, devid), ring), backend.ring_slots(domid, devid, ring)

        return slots

    def seen(self, answer: tuple[tuple[tuple[int, int], int], RingSlots]) -> None:
        self._of, self._slots = answer
        self._problem = ""
        self.query_one("#slot", Pane).redraw()

    def refused(self, sentence: str) -> None:
        if sentence != self._problem:
            self._problem = sentence
            self.query_one("#slot", Pane).redraw()

    def look_again(self) -> None:
        """Forget what was read, so that the next tick reads it anew."""
        self._slots, self._problem = None, ""
        self.query_one("#slot", Pane).redraw()
