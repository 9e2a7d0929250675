# SPDX-License-Identifier: MIT
"""doctor: words and signs, exit codes, and the real look at this machine."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli.conftest import Cli
from usblkback_tui.cli import doctor
from usblkback_tui.engine.control.server import ControlServer
from usblkback_tui.engine.open import Check

GOOD = Check("hypervisor", True, "Xen 4.17", "boot Xen")
BAD = Check("grants", False, "/dev/xen/gntdev is missing", "modprobe xen-gntdev")
EXTRA = Check("xl", False, "not found", "apt install xen-utils", needed=False)


def test_ready_in_spite_of_what_is_not_needed(cli: Cli, monkeypatch: pytest.MonkeyPatch, engine: ControlServer) -> None:
    monkeypatch.setattr(doctor, "readiness", lambda: (GOOD, EXTRA))
    monkeypatch.setenv("USBLKBACK_MAX_QUEUES", "3")
    shown = cli("doctor")
    assert shown.code == 0
    assert shown.out.splitlines() == [
        "✓ ok       hypervisor      Xen 4.17",
        "– absent   xl              not found",
        "                           → apt install xen-utils",
        "✓ ok       offers          3 queues, rings of 16 pages, requests of 256 segments, 4224 pages kept per disk; "
        "I/O engine auto, direct I/O for block devices",
        f"✓ ok       running engine  pid {os.getpid()} answers at {engine.path}",
        "ready",
    ]


def test_not_ready(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "readiness", lambda: (GOOD, BAD, EXTRA))
    shown = cli("doctor")
    assert shown.code == 1
    assert "✗ missing  grants          /dev/xen/gntdev is missing\n" in shown.out
    assert "→ modprobe xen-gntdev\n" in shown.out
    assert shown.out.endswith("\nnot ready: 1 missing\n")


def test_as_json(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "readiness", lambda: (GOOD, BAD))
    shown = cli("doctor", "--json")
    document = json.loads(shown.out)
    assert shown.code == 1
    assert (document["version"], document["ready"]) == (1, False)
    assert document["checks"][:2] == [
        {"name": "hypervisor", "ok": True, "needed": True, "seen": "Xen 4.17", "fix": ""},
        {
            "name": "grants",
            "ok": False,
            "needed": True,
            "seen": "/dev/xen/gntdev is missing",
            "fix": "modprobe xen-gntdev",
        },
    ]
    assert [check["name"] for check in document["checks"][2:]] == ["offers", "running engine"]


def test_this_machine(cli: Cli) -> None:
    document = json.loads(cli("doctor", "--json").out)
    checks = {check["name"]: check for check in document["checks"]}
    assert document["ready"] == all(check["ok"] for check in checks.values() if check["needed"])
    assert checks["data path"]["ok"], "the tests run where the C extension is built"
    for check in checks.values():
        assert check["ok"] or check["fix"], f"{check['name']} is missing and nobody says how to mend it"
