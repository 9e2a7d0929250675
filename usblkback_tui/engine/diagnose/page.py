# SPDX-License-Identifier: MIT
"""docs/diagnosis.md, made from the table of rules."""

from __future__ import annotations

from usblkback_tui.engine.diagnose.registry import RULES, STORE_GONE
from usblkback_tui.engine.diagnose.rule import Rule, Subject

_HEAD = """\
# What can be wrong with a disk

Made from the rules in `usblkback_tui/engine/diagnose/` by `scripts/diagnosis_page.py`.

`usblkback-tui diagnose [DOMAIN [VDEV]] [--json]` asks the running engine; HEALTH in the terminal UI and in `status` is
the first finding, and the Handshake screen (`2`) shows it with its evidence, whose turn it is, how long that may take
and what to try. The exit code is 0 when nothing is wrong, 1 when something is, 2 when it could not be told.

**From a bug report.** `usblkback-tui diagnose --from FILE` reads what `xenstore-ls -fp` (or `-f`, or neither) wrote on
any host, with any backend: `vbd`, `qdisk`, `vbd3`, `tap`, `usblkback`. It needs no Xen and no engine. A dump has no
times, so whatever has not ended in it counts as late; without `-p` permissions are not judged, and without `-f`
xenstore-ls cuts long values.

**To see them.** `usblkback-tui demo --list` names the failures that can be played on the embedded host, and
`usblkback-tui demo --scenario NAME` plays one.

Of each subject a disk has one finding, the first that holds in this order. One with a time in the column *after* holds
only when neither end has moved for so long; the times are those of libxl, and ten seconds where nobody counts.
"""

_TITLES = {
    Subject.HANDSHAKE: "The handshake: why the two ends are not both Connected",
    Subject.OWNER: "Who else writes to it",
    Subject.IMAGE: "The storage behind it",
    Subject.RING: "The guest and its ring",
    Subject.LAYOUT: "What is on it",
}


def diagnosis_page() -> str:
    """The page."""
    lines = [_HEAD]
    for subject, title in _TITLES.items():
        lines += [f"## {title}", "", "| id | severity | waits for | after | when | try | met in |", "|" + " --- |" * 7]
        lines += [_row(rule) for rule in RULES if rule.subject is subject]
        lines.append("")
    lines += [
        "## The engine itself",
        "",
        f"`{STORE_GONE}` (error): xenstore cannot be watched. It concerns no disk, so its `vdev` is empty.",
    ]
    return "\n".join(lines) + "\n"


def _row(rule: Rule) -> str:
    after = f"{rule.seconds:g} s" if rule.seconds else ""
    cells = (
        f"`{rule.id}`",
        rule.severity.value,
        rule.waiting_for.value,
        after,
        rule.when,
        "; ".join(rule.tries),
        rule.source,
    )
    return "| " + " | ".join(cells) + " |"
