# SPDX-License-Identifier: MIT
"""What a scenario is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from usblkback_tui.engine.scenarios.stage import Stage


@dataclass(frozen=True, slots=True)
class Scenario:
    """One failure that can be played."""

    name: str
    finding: str
    """The id of the rule that finds it."""
    sentence: str
    """What happens, for ``demo --list``."""
    play: Callable[[Stage], None]
    """Make it happen; returns when all that needs hands is done."""
    in_store: bool = True
    """It shows in a dump of the store."""
    lively: bool = False
    """Its guest makes requests all the time: what it looks like later can only be seen later."""
    engine: dict[str, object] = field(default_factory=dict)
    """Settings of the engine that differ."""
