# SPDX-License-Identifier: MIT
"""What is wrong with a disk, why, whose turn it is and what to try: one table of rules, for the living engine, for what
others serve, and for a saved dump of xenstore.

    case.py        a vbd as the rules see it
    rule.py        what a rule is
    complaints.py  what a backend says that it cannot do
    places.py      whether both directories are there and open
    opening.py     whose step does not come on the way to Connected
    closing.py     whose step does not come on the way out
    owners.py      who else has a hand in it
    storage.py     the image behind it
    rings.py       the guest and its ring
    registry.py    all of them, in order
    examine.py     a snapshot to findings
    offline.py     a dump of xenstore to findings
"""

from usblkback_tui.engine.diagnose.examine import diagnose, examined, health_of, judge
from usblkback_tui.engine.diagnose.registry import RULES
from usblkback_tui.engine.diagnose.rule import Rule, Subject

__all__ = ["RULES", "Rule", "Subject", "diagnose", "examined", "health_of", "judge"]
