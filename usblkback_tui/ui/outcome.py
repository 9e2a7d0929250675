# SPDX-License-Identifier: MIT
"""How the UI ended, for whoever started it."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """What became of the disks."""

    NO_DISKS = "no disk was attached"
    DETACHED = "every disk was detached"
    HANDED_OVER = "another engine serves the disks"
    ENGINE_STAYS = "the engine runs elsewhere and goes on"
    AT_ONCE = "left at once; disks still in use are taken by force"
