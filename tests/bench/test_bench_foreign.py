# SPDX-License-Identifier: MIT
"""Foreign load is what neither we nor the kernel did."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from benchmarks import foreign
from benchmarks.foreign import LIMIT, Watch, own_seconds

BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass"


def burn(seconds: float) -> list[str]:
    return [sys.executable, "-S", "-c", BURN.format(seconds=seconds)]


def test_what_our_children_use_is_ours_once_they_have_ended() -> None:
    before = own_seconds()
    subprocess.run(burn(0.5), check=True)
    assert own_seconds() - before >= 0.5


def test_what_our_children_use_is_ours_while_they_run() -> None:
    before = own_seconds()
    with subprocess.Popen(burn(60)) as child:
        deadline = time.monotonic() + 60
        while (running := own_seconds()) - before < 0.2:
            assert time.monotonic() < deadline, "a running child is not counted"
            time.sleep(0.1)
        child.kill()
        child.wait()
        ended = own_seconds()
    assert ended >= running - 0.05, "it is counted once, before its end and after"


def test_what_a_stranger_uses_is_foreign() -> None:
    """Somebody whose parent has ended is no descendant of ours."""
    line = f"{shlex.join(burn(60))} >/dev/null 2>&1 & echo $!"
    stranger = int(subprocess.run(["sh", "-c", line], check=True, capture_output=True, text=True).stdout)
    try:
        deadline = time.monotonic() + 60
        while True:  # until it got the processor for a while
            watch = Watch()
            time.sleep(1.0)
            use = watch.stop()
            if use.foreign > LIMIT:
                break
            assert time.monotonic() < deadline, "a stranger is not foreign"
    finally:
        os.kill(stranger, signal.SIGKILL)
    assert not use.clean


@pytest.mark.parametrize(("foreign_cores", "clean"), [(0.0, True), (LIMIT, True), (LIMIT + 0.01, False)])
def test_the_sums(monkeypatch: pytest.MonkeyPatch, foreign_cores: float, clean: bool) -> None:
    now = {"busy": 1000.0, "own": 10.0, "kernel": 5.0, "clock": 50.0}
    monkeypatch.setattr(foreign, "busy_seconds", lambda: now["busy"])
    monkeypatch.setattr(foreign, "own_seconds", lambda: now["own"])
    monkeypatch.setattr(foreign, "kernel_seconds", lambda: now["kernel"])
    monkeypatch.setattr(time, "monotonic", lambda: now["clock"])
    watch = Watch()
    now["clock"] += 4
    now["own"] += 4 * 1.5
    now["kernel"] += 4 * 0.25
    now["busy"] += 4 * (1.75 + foreign_cores)
    use = watch.stop()
    assert use.own == pytest.approx(1.5)
    assert use.kernel == pytest.approx(0.25)
    assert use.foreign == pytest.approx(foreign_cores)
    assert (use.foreign <= LIMIT + 1e-9) is clean
