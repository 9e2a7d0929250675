# SPDX-License-Identifier: MIT
"""Affinity and priority of a real process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from usblkback_tui.engine.process import NICE, schedule_process
from usblkback_tui.engine.settings import EngineSettings
from usblkback_tui.protocol.errors import UserError


def run(settings: str, show: str) -> str:
    code = (
        "import os; from usblkback_tui.engine.process import schedule_process\n"
        "from usblkback_tui.engine.settings import EngineSettings\n"
        f"schedule_process(EngineSettings({settings})); print({show})"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_affinity() -> None:
    cpu = max(os.sched_getaffinity(0))
    assert run(f"affinity={cpu}", "os.sched_getaffinity(0)") == f"{{{cpu}}}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise its priority")
def test_priority() -> None:
    assert run("high_priority=True", "os.getpriority(os.PRIO_PROCESS, 0)") == str(NICE)


def test_nothing_by_default() -> None:
    before = (os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0))
    schedule_process(EngineSettings())
    assert (os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)) == before


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="cannot be pinned to CPU 9999: invalid argument; choose one of "):
        schedule_process(EngineSettings(affinity=9999))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "setpriority", refuse)
    with pytest.raises(UserError, match="may not raise the scheduling priority; run as root"):
        schedule_process(EngineSettings(high_priority=True))
