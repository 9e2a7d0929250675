# SPDX-License-Identifier: MIT
"""Rules on their own: every pair of states has its word, what is well has none, and what dying storage would do."""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from tests.engine.control.fake_backend import a_disk, a_foreign_disk
from usblkback_tui.engine.diagnose import RULES, diagnose, examined, judge
from usblkback_tui.engine.diagnose.case import Case
from usblkback_tui.engine.diagnose.page import diagnosis_page
from usblkback_tui.engine.snapshot import (
    Counters,
    DiskView,
    DomainView,
    ForeignDisk,
    Health,
    KernelCounters,
    RefusedVbd,
    RingView,
    Severity,
    Snapshot,
    StoreKeys,
)
from usblkback_tui.protocol.states import XenbusState as S

NOW = 5000.0
RING = RingView(0, 32, 1, "x86_64-abi", "copy", "sync", 17, rsp_event=1)
WELL = a_disk(health=Health(), counters=Counters(), rings=(RING,), frontend_since=NOW - 60, backend_since=NOW - 60)
HERE = StoreKeys(back=(("frontend", "/local/domain/3/device/vbd/51728"),), front=(("state", "1"),))

RINGED = replace(HERE, front=(*HERE.front, ("ring-ref", "8"), ("event-channel", "9")))


def snapshot_of(*disks: DiskView, **changes: object) -> Snapshot:
    domains = (DomainView(0, "Domain-0"), DomainView(3, "g3"))
    return replace(Snapshot(NOW, 1.0, "sim", 0, domains, disks, 64, NOW - 100), **changes)  # type: ignore[arg-type]


def ids(*disks: DiskView, now: float = NOW, **changes: object) -> list[str]:
    return [finding.id for finding in diagnose(snapshot_of(*disks, **changes), now)]


def test_what_is_well_has_no_finding() -> None:
    assert ids(WELL) == ids() == []
    assert examined(snapshot_of(WELL)).disks == (WELL,)
    assert ids(foreign=(a_foreign_disk(),)) == []


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("ours", [True, False])
def test_every_pair_of_states_has_one_finding_once_it_is_late_and_none_before(online: bool, ours: bool) -> None:
    for front, back in product(S, S):
        disk = replace(WELL, frontend_state=front, backend_state=back, online=online, rings=()) if ours else None
        case = Case(3, 51728, "usblkback" if ours else "qdisk", 0, front, back, online, 99.0, keys=RINGED, disk=disk)
        found = judge(case)
        if front is back is S.CONNECTED:
            assert [one.id for one in found] == (["ENGINE-GONE"] if ours else [])
            continue
        assert len(found) == 1, (front, back)
        assert len(found[0].sentence) < 160
        assert found[0].sentence.startswith("stuck 99 s: ")
        assert judge(replace(case, waited=1.0)) == (), (front, back)
        assert not judge(replace(case, waited=None))[0].sentence.startswith("stuck"), "nobody knows for how long"


def test_a_boot_loader_that_reads_in_initialised_is_well() -> None:
    """GRUB never goes to Connected."""
    grub = replace(WELL, frontend_state=S.INITIALISED, rings=(replace(RING, counters=Counters(responses=3)),))
    assert ids(grub) == []
    assert ids(replace(grub, rings=(RING,))) == ["FE-WAIT-CONNECT"]
    other = replace(a_foreign_disk(), frontend_state=S.INITIALISED, counters=KernelCounters(1.0, reads=3))
    keys = StoreKeys(back=(("sectors", "8"), ("sector-size", "512"), ("info", "0")))
    assert ids(foreign=(replace(other, keys=keys),)) == []
    assert ids(foreign=(replace(other, counters=None, keys=keys),)) == ["FE-WAIT-CONNECT"]


def test_the_cd_of_an_emulated_drive_may_wait() -> None:
    """QEMU's backend offers it, and an HVM guest uses the emulated one."""
    cd = _waiting("qdisk", device_type="cdrom")
    assert ids(foreign=(cd,)) == []
    assert ids(foreign=(cd, replace(a_foreign_disk(), devid=51760))) == [], "nor is it for another kind's driver"
    assert ids(foreign=(replace(cd, kind="usblkback"),)) == ["FE-NO-CDROM"]


def _waiting(kind: str, device_type: str = "disk", **keys: str) -> ForeignDisk:
    back = (*HERE.back, ("device-type", device_type), *keys.items())
    return replace(
        a_foreign_disk(),
        kind=kind,
        frontend_state=S.INITIALISING,
        backend_state=S.INIT_WAIT,
        keys=replace(HERE, back=back),
    )


# the storage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "id", "severity", "words"),
    [
        ({"poisoned": errno.EIO}, "FLUSH-FAILED", Severity.ERROR, "a flush failed (Input/output error): writes are"),
        ({"stopping_since": NOW - 42}, "IMAGE-HUNG", Severity.ERROR, "the image has not answered for 42 s"),
        (
            {"rings": (replace(RING, req_prod=3, req_cons=3, rsp_prod=1, moved=NOW - 20),)},
            "IMAGE-HUNG",
            Severity.ERROR,
            "the image has not answered for 20 s",
        ),
        ({"recent_p99": 2.5e9}, "SLOW-DISK", Severity.WARNING, "longer than 2.5 s of late"),
        (
            {"counters": Counters(io_errors=3), "io_errno": errno.ENOSPC},
            "IO-ERRORS",
            Severity.WARNING,
            "3 image errors, the last: No space left",
        ),
        ({"counters": Counters(io_errors=1)}, "IO-ERRORS", Severity.WARNING, "1 image error, the last: unknown"),
        ({"rings": ()}, "ENGINE-GONE", Severity.ERROR, "the engine that served this disk is gone"),
    ],
)
def test_what_is_wrong_with_a_disk_that_is_served(
    change: dict[str, object], id: str, severity: Severity, words: str
) -> None:
    disk = replace(WELL, **change)  # type: ignore[arg-type]
    (finding,) = diagnose(snapshot_of(disk), NOW)
    assert (finding.id, finding.severity) == (id, severity)
    assert words in finding.sentence
    health = examined(snapshot_of(disk)).disks[0].health
    assert health == Health(severity, f"{finding.sentence}; {finding.tries[0]}")


@pytest.mark.parametrize(
    "change",
    [
        {"stopping_since": NOW - 2},
        {"rings": (replace(RING, req_prod=3, req_cons=3, rsp_prod=1, moved=NOW - 2),)},
        {"rings": (replace(RING, req_prod=3, req_cons=3, rsp_prod=1),)},
        {"rings": (replace(RING, req_prod=3, req_cons=1, rsp_prod=1, moved=NOW - 1),)},
        {"rings": (replace(RING, req_prod=3, req_cons=3, rsp_prod=3, rsp_event=4, moved=NOW - 999),)},
        {"rings": (replace(RING, req_prod=3, req_cons=3, rsp_prod=3, rsp_event=2**31, moved=NOW - 999),)},
        {"recent_p99": 2e8},
    ],
)
def test_what_takes_its_time_is_well(change: dict[str, object]) -> None:
    assert ids(replace(WELL, **change)) == []  # type: ignore[arg-type]


def test_indices_wrap() -> None:
    ring = replace(RING, req_prod=2, req_cons=2**32 - 1, rsp_prod=2**32 - 1, moved=NOW - 60)
    (finding,) = diagnose(snapshot_of(replace(WELL, rings=(ring,))), NOW)
    assert finding.id == "RING-STALL"
    assert "3 requests lie unread on ring 0 for 60 s" in finding.sentence


def test_an_image_that_opens_for_ever() -> None:
    disk = replace(WELL, image_open=False, frontend_state=S.INITIALISING, backend_state=S.INITIALISING, rings=())
    assert ids(disk) == ["BE-SLOW-IMAGE"]
    assert ids(disk, now=NOW - 30) == []
    early = replace(snapshot_of(disk), time=NOW - 59)
    assert examined(early).disks[0].health == Health(Severity.INFO, "opening the image")


def test_pages_that_stay_mapped_when_nothing_is_connected() -> None:
    leak = Counters(maps=10, unmaps=8, grants_mapped=2)
    closed = replace(WELL, rings=(), counters=leak, frontend_state=S.CLOSED, backend_state=S.CLOSED)
    assert ids(closed) == ["GRANTS-HELD", "CLOSED-ONLINE"], "the worst comes first"
    assert ids(replace(closed, counters=Counters(maps=10, unmaps=10))) == ["CLOSED-ONLINE"]


def test_a_store_that_cannot_be_watched() -> None:
    (finding,) = diagnose(snapshot_of(WELL, store_problem="connection reset"), NOW)
    assert (finding.id, finding.vdev, finding.domid) == ("STORE-GONE", "", 0)
    assert "connection reset" in finding.sentence


def test_what_a_toolstack_wrote_and_we_cannot_serve() -> None:
    refused = RefusedVbd("vbd", 3, 51728, "64 disks are attached, which is engine.max_disks; detach one")
    (finding,) = diagnose(snapshot_of(refused=(refused,)), NOW)
    assert (finding.id, finding.sentence) == ("BE-ERROR", "64 disks are attached, which is engine.max_disks")
    assert finding.tries[0] == "detach one"


# what others say --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "id"),
    [
        ("22 guest requested 16 queues, exceeding the maximum of 4.", "FE-MULTIQ"),
        ("22 /local/domain/5/device/vbd/51712/request 5 ring page order exceed max:4", "FE-RING-ORDER"),
        ("22 unknown fe protocol vax-abi", "FE-PROTO"),
        ("12 mapping ring-ref port 9", "GNT-MAP"),
        ("2 reading /local/domain/5/device/vbd/51712/event-channel", "FE-NO-RING"),
        ("13 Permission denied", "PERM"),
        ("5 something else", "BE-ERROR"),
    ],
)
def test_sentences_of_xen_blkback(said: str, id: str) -> None:
    case = Case(5, 51712, "vbd", 0, S.INITIALISED, S.CLOSING, keys=replace(HERE, back_error=said))
    assert [one.id for one in judge(case)] == [id]


def test_an_error_node_of_an_earlier_life_is_no_finding_while_a_handshake_goes_on() -> None:
    old = replace(HERE, back_error="22 unknown fe protocol x", front_error="16 Device in use; refusing to close")
    case = Case(5, 51712, "vbd", 0, S.INITIALISING, S.INIT_WAIT, waited=2.0, keys=old)
    assert judge(case) == ()
    assert judge(replace(case, front=S.CONNECTED, back=S.CONNECTED, waited=1e6)) == ()


@pytest.mark.parametrize(
    ("keys", "id"),
    [
        ({"ring-ref": "8"}, "FE-NO-RING"),
        ({"ring-ref": "8", "event-channel": "x"}, "FE-KEYS"),
        ({"ring-page-order": "3", "ring-ref0": "8", "event-channel": "9"}, "FE-RING-ORDER"),
        ({"multi-queue-num-queues": "3", "event-channel": "9"}, "FE-MULTIQ"),
        ({"ring-ref": "8", "event-channel": "9"}, "BE-NOT-TAKEN"),
        ({"ring-page-order": "1", "ring-ref0": "8", "ring-ref1": "9", "event-channel": "9"}, "BE-NOT-TAKEN"),
    ],
)
def test_a_frontends_keys_are_read_where_its_backend_says_nothing(keys: dict[str, str], id: str) -> None:
    back = (*HERE.back, ("max-ring-pages", "4"), ("multi-queue-max-queues", "2"))
    case = Case(5, 51712, "qdisk", 0, S.INITIALISED, S.INIT_WAIT, keys=StoreKeys(back, tuple(keys.items())))
    (finding,) = judge(case)
    assert finding.id == id
    assert ("frontend/event-channel", keys.get("event-channel", "")) in finding.evidence or id == "FE-NO-RING"


def test_the_page_is_made_of_the_table() -> None:
    page = Path(__file__).parents[3] / "docs" / "diagnosis.md"
    assert page.read_text(encoding="utf-8") == diagnosis_page(), "run scripts/diagnosis_page.py"


def test_the_readme_speaks_of_rules_that_are_there() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([A-Z-]+)` \|", readme, re.MULTILINE))
    assert len(named) >= 8
    assert named <= {rule.id for rule in RULES}


def test_the_table_is_whole() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.when
        assert rule.tries, rule.id
        assert rule.source, rule.id
