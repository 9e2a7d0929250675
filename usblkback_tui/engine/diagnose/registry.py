# SPDX-License-Identifier: MIT
"""All rules in the order in which they are tried: of each subject the first that holds is what is said."""

from __future__ import annotations

from usblkback_tui.engine.diagnose.complaints import COMPLAINTS, LAST_WORD
from usblkback_tui.engine.diagnose.handshake import PLACES, STEPS
from usblkback_tui.engine.diagnose.rule import Rule, Subject
from usblkback_tui.engine.diagnose.serving import GONE, ORPHANED, SERVING

_BUSY, *_LATE = STEPS

RULES: tuple[Rule, ...] = (GONE, *COMPLAINTS, ORPHANED, *PLACES, _BUSY, LAST_WORD, *_LATE, *SERVING)

CONNECTED_RULES = tuple(rule for rule in RULES if rule.subject is not Subject.HANDSHAKE or rule in (GONE, ORPHANED))
"""Those that can hold while both ends are Connected and nobody complains."""

STORE_GONE = "STORE-GONE"
"""The one finding that concerns no vbd."""
