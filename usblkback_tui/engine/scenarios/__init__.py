# SPDX-License-Identifier: MIT
"""Every failure that can be made to happen on the embedded host, for training and for tests.

handmade.py    a frontend made byte by byte
stage.py       an engine with hands for its guests, its toolstack and its images
scenario.py    what a scenario is
frontends.py   guests that do not come, or come with the wrong keys
toolstacks.py  toolstacks and other backends that do not do their part
rings.py       guests that do wrong on a ring that is served
"""

from usblkback_tui.engine.scenarios.frontends import FRONTENDS
from usblkback_tui.engine.scenarios.rings import RINGS
from usblkback_tui.engine.scenarios.scenario import Scenario
from usblkback_tui.engine.scenarios.stage import GUEST, VDEV, Stage
from usblkback_tui.engine.scenarios.toolstacks import TOOLSTACKS

SCENARIOS: tuple[Scenario, ...] = (*FRONTENDS, *TOOLSTACKS, *RINGS)

__all__ = ["GUEST", "SCENARIOS", "VDEV", "Scenario", "Stage"]
