# SPDX-License-Identifier: MIT
"""How this process is scheduled: on which CPU and how urgently."""

from __future__ import annotations

import os

from usblkback_tui.engine.settings import EngineSettings
from usblkback_tui.protocol.errors import UserError

NICE = -10
"""``high_priority``: ahead of ordinary work, behind what keeps the machine itself going."""


def schedule_process(settings: EngineSettings) -> None:
    """Apply ``affinity`` and ``high_priority``.  Call it before threads start: they inherit both.  Raises UserError."""
    if settings.affinity is not None:
        try:
            os.sched_setaffinity(0, {settings.affinity})
        except OSError as error:
            raise UserError(
                f"this process cannot be pinned to CPU {settings.affinity}: {(error.strerror or str(error)).lower()}",
                fix=f"choose one of {', '.join(map(str, sorted(os.sched_getaffinity(0))))} with --affinity",
                key="affinity",
                value=settings.affinity,
            ) from None
    if settings.high_priority:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
        except OSError:
            raise UserError(
                "this user may not raise the scheduling priority",
                fix="run as root, or without --high-priority",
                key="high_priority",
                value=True,
            ) from None
