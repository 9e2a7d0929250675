# SPDX-License-Identifier: MIT
"""Every failure, made to happen on the embedded host: exactly its finding, live and from a dump of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.diagnose.printed import in_order, whole_paths
from tests.engine.rig import wait_for
from usblkback_tui.engine.diagnose import RULES, diagnose
from usblkback_tui.engine.diagnose.offline import diagnose_dump
from usblkback_tui.engine.engine import Engine
from usblkback_tui.engine.host.sim.host import SimHost
from usblkback_tui.engine.host.sim.load import GuestOptions, Load
from usblkback_tui.engine.scenarios import SCENARIOS, Scenario, Stage
from usblkback_tui.engine.settings import FRONTENDS, EngineSettings, GuestSettings, Settings
from usblkback_tui.engine.snapshot import Finding, Snapshot
from usblkback_tui.engine.storedump import parse_dump
from usblkback_tui.protocol.states import XenbusState as S

LATER = 100.0
"""Seconds from now, after which no deadline is left."""

BY_HAND = {"BE-GONE", "BE-SLOW-IMAGE", "FLUSH-FAILED", "IMAGE-HUNG", "SLOW-DISK", "GRANTS-HELD"}
"""Rules that need dying storage, or show in a dump alone: see test_rules.py and test_offline.py."""


@contextmanager
def stage(folder: Path, **engine: object) -> Iterator[Stage]:
    host = SimHost()
    host.open()
    settings = replace(EngineSettings(detach_seconds=1.0), **engine)  # type: ignore[arg-type]
    one = Engine(host, Settings(engine=settings))
    try:
        one.start()
        yield Stage(one, host, folder)
    finally:
        one.stop(force_after=0.2)
        host.close()


def found(stage: Stage, later: float = LATER) -> tuple[Finding, ...]:
    snapshot = stage.engine.snapshot()
    return diagnose(snapshot, snapshot.time + later)


def in_dump(stage: Stage) -> list[str]:
    store = stage.host.hypervisor.store
    access = {path: _access(stage, path) for path in store.dump()}
    text = whole_paths(in_order(store.dump()), lambda path: access.get(path, "n0"))
    return [finding.id for finding in diagnose_dump(parse_dump(text)).findings]


def _access(stage: Stage, path: str) -> str:
    permissions = stage.host.permissions(path)
    assert permissions is not None
    listed = "".join(f",{access}{domid}" for domid, access in permissions.listed)
    return f"{permissions.others}{permissions.owner}{listed}"


def only(stage: Stage, scenario: Scenario) -> Finding:
    """The one finding of a scenario, once it is there."""
    later = 0.0 if scenario.lively else LATER
    seen: list[tuple[Finding, ...]] = []

    def there() -> bool:
        seen.append(found(stage, later))
        return [finding.id for finding in seen[-1]] == [scenario.finding]

    wait_for(there, 60.0)
    return seen[-1][0]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_failure_has_its_finding_and_no_other(tmp_path: Path, scenario: Scenario) -> None:
    with stage(tmp_path, **scenario.engine) as s:
        scenario.play(s)
        finding = only(s, scenario)
        rule = next(rule for rule in RULES if rule.id == scenario.finding)
        assert (finding.severity, finding.waiting_for) == (rule.severity, rule.waiting_for)
        assert finding.evidence
        assert finding.tries
        assert 0 < len(finding.sentence) < 200
        assert "\n" not in finding.sentence
        if scenario.in_store:
            assert in_dump(s) == [scenario.finding]
        if rule.seconds:
            snapshot = s.engine.snapshot()
            assert diagnose(snapshot, _moved(snapshot) + rule.seconds - 0.5) == (), "a step that may still come"


def _moved(snapshot: Snapshot) -> float:
    """When an end of the disk last moved; one that was only put beside it did so later."""
    ours = [max(disk.frontend_since, disk.backend_since) for disk in snapshot.disks]
    return min(*ours, *(disk.since for disk in snapshot.foreign), snapshot.time)


def test_every_rule_is_played_or_named_here() -> None:
    assert {scenario.finding for scenario in SCENARIOS} | BY_HAND == {rule.id for rule in RULES}
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_a_healthy_disk_has_no_finding_from_attach_to_detach(tmp_path: Path) -> None:
    with stage(tmp_path) as s:
        seen: list[str] = []
        guest = s.host.add_guest(GuestSettings("patient"))
        wait_for(lambda: any(domain.name == "patient" for domain in s.engine.snapshot().domains))
        for vdev in ("xvdb", "xvdc"):
            s.attach(vdev, s.image(vdev))

        def well() -> bool:
            seen.extend(finding.id for finding in found(s, 0.0))
            disks = s.engine.snapshot().disks
            return len(disks) == 2 and all(disk.rings and disk.frontend_state is S.CONNECTED for disk in disks)

        wait_for(well)
        wait_for(lambda: guest.stats().reads > 50)
        assert in_dump(s) == []
        guest.reboot()
        wait_for(well)
        wait_for(lambda: guest.stats().reads > 200)
        guest.stop_load()
        wait_for(lambda: not any(disk.counters.in_flight for disk in s.engine.snapshot().disks))
        seen.extend(finding.id for finding in found(s))
        s.engine.detach("patient", "xvdb")
        seen.extend(finding.id for finding in found(s))
        assert seen == []
        guest.shutdown()
        wait_for(lambda: not s.engine.snapshot().disks)
        assert found(s) == ()
        assert in_dump(s) == []


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_no_driver_that_does_its_work_has_a_finding(tmp_path: Path, frontend: str) -> None:
    with stage(tmp_path, kinds=("vbd", "usblkback")) as s:
        guest = s.host.add_guest(GuestSettings("patient"), GuestOptions(frontend=frontend))
        guest.set_load(Load(depth=2, span_bytes=1 << 20))
        wait_for(lambda: any(domain.name == "patient" for domain in s.engine.snapshot().domains))
        s.attach()
        wait_for(lambda: found(s, 0.0) == () and guest.stats().reads > 20)
        guest.stop_load()
        wait_for(lambda: not any(disk.counters.in_flight for disk in s.engine.snapshot().disks))
        assert [finding.id for finding in found(s)] == []
        guest.shutdown()
        wait_for(lambda: not s.engine.snapshot().disks)
        assert found(s) == ()


def test_illumos_and_a_kind_that_it_does_not_follow(tmp_path: Path) -> None:
    with stage(tmp_path) as s:
        s.host.add_guest(GuestSettings("patient"), GuestOptions(frontend="illumos"))
        wait_for(lambda: any(domain.name == "patient" for domain in s.engine.snapshot().domains))
        s.attach()
        wait_for(lambda: [finding.id for finding in found(s)] == ["FE-WAIT-CONNECT"])
        (disk,) = s.engine.snapshot().disks
        s.vbd("vbd", disk.domid, {"state": "4", "physical-device": "fe:1"}, {"state": "4"}, devid=51712)
        wait_for(lambda: [finding.id for finding in found(s)] == ["FE-KIND"])
