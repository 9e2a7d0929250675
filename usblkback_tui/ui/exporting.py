# SPDX-License-Identifier: MIT
"""A screen as CSV or JSON.  Pure."""

from __future__ import annotations

import csv
import io
import json
import time

from usblkback_tui.engine.control.codec import encode
from usblkback_tui.engine.snapshot import Snapshot
from usblkback_tui.ui.views.base import Sheet

KINDS = ("csv", "json", "svg")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula at the beginning of a cell; a guest may name itself so."""


def as_csv(sheet: Sheet) -> str:
    """One line for each row, with headings."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(sheet.headings)
    writer.writerows([[_harmless(cell) for cell in row] for row in sheet.rows])
    return text.getvalue()


def as_json(sheet: Sheet, snapshot: Snapshot) -> str:
    """The rows as objects, and the whole snapshot they are part of."""
    rows = [dict(zip(sheet.headings, row, strict=True)) for row in sheet.rows]
    return json.dumps({"screen": sheet.name, "rows": rows, "snapshot": encode(snapshot)}, indent=1) + "\n"


def file_name(screen: str, kind: str, when: float) -> str:
    """``usblkback-disks-20260131-235959.csv``."""
    return f"usblkback-{screen}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(when))}.{kind}"


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) and cell not in ("-",) else cell
