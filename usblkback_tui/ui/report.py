# SPDX-License-Identifier: MIT
"""One disk as plain text, for the clipboard and from there into a mail or a ticket."""

from __future__ import annotations

from usblkback_tui.engine.rates import Rates
from usblkback_tui.engine.snapshot import DiskView
from usblkback_tui.ui import units
from usblkback_tui.ui.detail import detail_lines
from usblkback_tui.ui.text import clean, plain

WIDTH = 100


def disk_report(disk: DiskView, rates: Rates | None, now: float) -> str:
    """The detail pane and every transition, line by line."""
    lines = [f"{clean(disk.title)}, domid {disk.domid}, devid {disk.devid}, at {units.clock(now)}"]
    lines += [plain(line).rstrip() for line in detail_lines(disk, rates, WIDTH)]
    lines += ["", "transitions"]
    lines += [f"{units.clock(c.time)}  {c.end:<9} {c.old.word} -> {c.new.word}" for c in disk.transitions]
    return "\n".join(lines)
