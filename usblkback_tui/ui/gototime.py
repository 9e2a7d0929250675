# SPDX-License-Identifier: MIT
"""What somebody types to go to a time: ``14:03``, ``14:03:20``, ``-90``, ``-5m``, ``+1h``.  Pure."""

from __future__ import annotations

import re
import time

from usblkback_tui.protocol.errors import UserError

HINT = "14:03, 14:03:20, or from here: -90, -5m, +1h"
_STEP = re.compile(r"([+-])(\d{1,6})\s*([smh]?)", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
DAY = 86400.0


def wanted_time(text: str, now: float, latest: float) -> float:
    """The time that is meant, in seconds since 1970.  ``now`` is what is shown and ``latest`` what there is.

    A clock time is the last one before ``latest``.  Raises UserError.
    """
    text = text.strip()
    if found := _STEP.fullmatch(text):
        sign, count, unit = found.groups()
        return now + int(f"{sign}{count}") * _SECONDS[unit.lower()]
    if found := _CLOCK.fullmatch(text):
        hour, minute, second = (int(part or 0) for part in found.groups())
        if hour < 24 and minute < 60 and second < 60:
            day = time.localtime(latest)
            wanted = time.mktime((day.tm_year, day.tm_mon, day.tm_mday, hour, minute, second, 0, 0, -1))
            return wanted if wanted <= latest + 1 else wanted - DAY
    raise UserError(f"{text!r} is no time", fix=f"type {HINT}", key="time", value=text)
