# SPDX-License-Identifier: MIT
"""All rules in the order in which they are tried: of each subject the first that holds is what is said."""

from __future__ import annotations

from usblkback_tui.engine.diagnose.closing import BUSY, CLOSING
from usblkback_tui.engine.diagnose.complaints import COMPLAINTS, LAST_WORD
from usblkback_tui.engine.diagnose.opening import NO_STEP, OPENING
from usblkback_tui.engine.diagnose.owners import GONE, ORPHANED, OWNERS
from usblkback_tui.engine.diagnose.places import PLACES
from usblkback_tui.engine.diagnose.rings import RINGS
from usblkback_tui.engine.diagnose.rule import Rule, Subject
from usblkback_tui.engine.diagnose.storage import STORAGE

RULES: tuple[Rule, ...] = (
    GONE,
    *COMPLAINTS,
    ORPHANED,
    *PLACES,
    BUSY,
    LAST_WORD,
    *OPENING,
    *CLOSING,
    NO_STEP,
    *OWNERS,
    *STORAGE,
    *RINGS,
)

CONNECTED_RULES = tuple(rule for rule in RULES if rule.subject is not Subject.HANDSHAKE or rule in (GONE, ORPHANED))
"""Those that can hold while both ends are Connected and nobody complains."""

STORE_GONE = "STORE-GONE"
"""The one finding that concerns no vbd."""
