# SPDX-License-Identifier: MIT
"""From a snapshot to what is wrong: the rules tried on every vbd.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from usblkback_tui.engine.diagnose.case import Case, cases_of
from usblkback_tui.engine.diagnose.registry import CONNECTED_RULES, RULES, STORE_GONE
from usblkback_tui.engine.diagnose.rule import Subject
from usblkback_tui.engine.snapshot import DiskView, Finding, ForeignDisk, Health, Party, Severity, Snapshot
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.protocol.transitions import decide

_WORST = (Severity.ERROR, Severity.WARNING, Severity.INFO, Severity.GOOD)


def diagnose(snapshot: Snapshot, now: float) -> tuple[Finding, ...]:
    """Everything that is wrong at ``now`` (``time.time()`` seconds), vbd by vbd, the worst of each first."""
    return (*_of_engine(snapshot), *(finding for case in cases_of(snapshot, now) for finding in judge(case)))


def judge(case: Case) -> tuple[Finding, ...]:
    """What is wrong with one vbd; nothing when it is well, or within the time that its next step may take."""
    taken: set[Subject] = set()
    found: list[Finding] = []
    for rule in CONNECTED_RULES if case.connected and not case.problem else RULES:
        if rule.subject not in taken and (finding := rule.judge(case)) is not None:
            taken.add(rule.subject)
            found.append(finding)
    found.sort(key=lambda finding: _WORST.index(finding.severity))
    return tuple(found)


def examined(snapshot: Snapshot) -> Snapshot:
    """The same with the findings and the health of every disk, as of its own time."""
    cases = cases_of(snapshot, snapshot.time)
    findings = {(case.backend, case.kind, case.domid, case.devid): judge(case) for case in cases}
    me = snapshot.domid
    return replace(
        snapshot,
        disks=tuple(_with(one, findings[me, one.kind, one.domid, one.devid]) for one in snapshot.disks),
        foreign=tuple(
            _foreign_with(one, findings[one.backend, one.kind, one.domid, one.devid]) for one in snapshot.foreign
        ),
    )


def _with(disk: DiskView, findings: tuple[Finding, ...]) -> DiskView:
    health = health_of(findings) or _progress(disk)
    if not findings and health == disk.health:
        return disk
    return replace(disk, findings=findings, health=health)


def _foreign_with(disk: ForeignDisk, findings: tuple[Finding, ...]) -> ForeignDisk:
    health = health_of(findings) or _between(disk)
    if not findings and health == disk.health:
        return disk
    return replace(disk, findings=findings, health=health)


def health_of(findings: Iterable[Finding]) -> Health | None:
    """The first finding in a line: what is wrong, and the first thing to try.  None without findings."""
    first = next(iter(findings), None)
    if first is None:
        return None
    return Health(first.severity, f"{first.sentence}; {first.tries[0]}" if first.tries else first.sentence)


def _progress(disk: DiskView) -> Health:
    """A disk that is well, or still on its way."""
    if disk.frontend_state is disk.backend_state is S.CONNECTED:
        return Health()
    if not disk.image_open:
        return Health(Severity.INFO, "opening the image")
    return Health(Severity.INFO, decide(disk.frontend_state, disk.backend_state, online=disk.online).reason)


def _between(disk: ForeignDisk) -> Health:
    if disk.frontend_state is disk.backend_state is S.CONNECTED:
        return Health()
    return Health(
        Severity.INFO,
        f"between states: frontend {disk.frontend_state.word}, backend {disk.backend_state.word}",
    )


def _of_engine(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.store_problem:
        yield Finding(
            STORE_GONE,
            Severity.ERROR,
            snapshot.domid,
            "",
            f"the store cannot be watched: {snapshot.store_problem}",
            (("disks", str(len(snapshot.disks))),),
            Party.OPERATOR,
            tries=(
                "look whether xenstored is alive; rings go on without it, attach and detach do not",
                "when dom0 shuts down, end the engine before xenstored",
            ),
        )
