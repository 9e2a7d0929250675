# SPDX-License-Identifier: MIT
"""Every sentence of HEALTH, each from the facts that call for it."""

import errno
from dataclasses import replace
from itertools import product

import pytest

from usblkback_tui.engine.health import PATIENCE, Facts, health_of
from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.protocol.states import XenbusState as S

FINE = Facts(front=S.CONNECTED, back=S.CONNECTED, online=True, waited=99.0, served=True)


def test_a_connected_disk_is_well() -> None:
    assert (health_of(FINE).severity, health_of(FINE).sentence) == (Severity.GOOD, "ok")


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({"problem": "ring-ref 8 cannot be mapped"}, Severity.ERROR, "ring-ref 8 cannot be mapped"),
        ({"stuck": 42.0}, Severity.ERROR, "the image has not answered for 42 s"),
        ({"poisoned": errno.EIO}, Severity.ERROR, "a flush failed (Input/output error): writes are refused"),
        ({"image_ready": False}, Severity.WARNING, "opening the image"),
        ({"served": False}, Severity.ERROR, "the engine that served this disk is gone"),
        ({"io_errors": 3, "io_errno": errno.ENOSPC}, Severity.WARNING, "3 image errors, the last: No space left"),
        ({"bad_requests": 7}, Severity.WARNING, "7 invalid requests"),
        ({"map_errors": 2}, Severity.WARNING, "2 requests named pages that could not be reached"),
    ],
)
def test_what_is_wrong_with_a_connected_disk(change: dict[str, object], severity: Severity, words: str) -> None:
    health = health_of(replace(FINE, **change))  # type: ignore[arg-type]
    assert health.severity is severity
    assert words in health.sentence


@pytest.mark.parametrize(
    ("front", "back", "words"),
    [
        (S.INITIALISING, S.INIT_WAIT, "stuck 42 s: the guest's driver has not offered a ring"),
        (S.UNKNOWN, S.INIT_WAIT, "stuck 42 s: the guest's driver has not offered a ring"),
        (S.CONNECTED, S.CLOSING, "stuck 42 s: the guest has not let go of the disk"),
        (S.INITIALISED, S.CONNECTED, "stuck 42 s: the guest has not taken our size"),
    ],
)
def test_who_is_late_after_the_patience_has_ended(front: S, back: S, words: str) -> None:
    late = Facts(front=front, back=back, online=True, waited=42.0)
    assert health_of(late).severity is Severity.WARNING
    assert words in health_of(late).sentence
    in_time = health_of(replace(late, waited=PATIENCE - 1))
    assert in_time.severity is Severity.INFO
    assert "stuck" not in in_time.sentence


def test_a_cd_that_nobody_takes_up_is_explained() -> None:
    late = Facts(front=S.INITIALISING, back=S.INIT_WAIT, online=True, waited=42.0, cdrom=True)
    assert "Linux HVM and PVH guests take no PV CD, attach it as a disk with mode r" in health_of(late).sentence


def test_a_closed_disk_may_rest() -> None:
    assert health_of(Facts(front=S.CLOSED, back=S.CLOSED, online=True, waited=1e6)).severity is Severity.INFO


@pytest.mark.parametrize(("front", "back"), list(product(S, S)))
@pytest.mark.parametrize("waited", [0.0, 1000.0])
@pytest.mark.parametrize("online", [True, False])
def test_every_pair_of_states_has_one_sentence(front: S, back: S, waited: float, online: bool) -> None:
    sentence = health_of(Facts(front=front, back=back, online=online, waited=waited)).sentence
    assert sentence
    assert "\n" not in sentence
    assert len(sentence) < 160
