# SPDX-License-Identifier: MIT
"""What a rule is: an id, how bad it is, whose turn, how long that may take, and one function that looks at a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.snapshot import Finding, Party, RingView, Severity
from usblkback_tui.protocol.ring import MASK


class Subject(Enum):
    """What a rule is about.  Of each subject a case has one finding, the first in the order of the table."""

    HANDSHAKE = "handshake"
    """Why the ends are not both Connected."""
    OWNER = "owner"
    """Who else writes to the vbd."""
    IMAGE = "image"
    """The storage behind it."""
    RING = "ring"
    """What the guest does with its ring."""
    LAYOUT = "layout"
    """What is on the disk."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule's function says of a case that it holds for."""

    sentence: str
    evidence: tuple[tuple[str, str], ...] = ()
    tries: tuple[str, ...] = ()
    """Before those of the rule."""
    waiting_for: Party | None = None
    """In place of the rule's."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table."""

    id: str
    subject: Subject
    severity: Severity
    waiting_for: Party
    look: Callable[[Case], Found | None]
    when: str
    """For docs/diagnosis.md: what holds when it is found."""
    tries: tuple[str, ...]
    seconds: float = 0.0
    """It only holds when neither end has moved for so long."""
    source: str = ""
    """Where this was met, or what it follows from."""

    def judge(self, case: Case) -> Finding | None:
        """The finding, if the rule holds."""
        if self.seconds and not case.late(self.seconds):
            return None
        found = self.look(case)
        if found is None:
            return None
        waited = f"stuck {case.waited:.0f} s: " if self.seconds and case.waited is not None else ""
        evidence = found.evidence
        if self.subject is Subject.HANDSHAKE:
            evidence = (*_states(case), *evidence)
        return Finding(
            self.id,
            self.severity,
            case.domid,
            case.vdev,
            waited + found.sentence,
            evidence,
            found.waiting_for or self.waiting_for,
            self.seconds,
            (*found.tries, *self.tries),
        )


def _states(case: Case) -> tuple[tuple[str, str], ...]:
    states = (
        ("frontend/state", f"{int(case.front)} {case.front.word}"),
        ("backend/state", f"{int(case.back)} {case.back.word}"),
    )
    return states if case.online else (*states, ("backend/online", "0"))


def back_keys(case: Case, *names: str) -> tuple[tuple[str, str], ...]:
    """Keys of the backend's directory as evidence, missing ones too."""
    return tuple((f"backend/{name}", _shown(case.at_back(name))) for name in names)


def front_keys(case: Case, *names: str) -> tuple[tuple[str, str], ...]:
    """Keys of the frontend's directory as evidence, missing ones too."""
    return tuple((f"frontend/{name}", _shown(case.at_front(name))) for name in names)


def _shown(value: str | None) -> str:
    return "(missing)" if value is None else value


def counted(count: int, what: str) -> str:
    """``1 request``, ``2 requests``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def in_service(ring: RingView) -> int:
    """Requests that were read and not answered."""
    return ring.req_cons - ring.rsp_prod & MASK
