# SPDX-License-Identifier: MIT
"""What the engine's process says of its own cost."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.engine.control.fake_backend import a_disk
from tests.engine.rig import rig, wait_for
from usblkback_tui.engine import selfwatch
from usblkback_tui.engine.selfwatch import SelfWatch, read_threads
from usblkback_tui.engine.snapshot import Counters, RingView


def ring(index: int, mapped: int) -> RingView:
    return RingView(index, 32, 1, "x86_64-abi", "map", "sync", 7, counters=Counters(grants_mapped=mapped))


def test_our_own_process() -> None:
    ended = threading.Event()
    worker = threading.Thread(target=ended.wait, name="vbd-3-51712")
    worker.start()
    try:
        facts = SelfWatch(grant_budget=100).facts([a_disk(rings=(ring(0, 5), ring(1, 7)))])
    finally:
        ended.set()
        worker.join()
    assert facts.pid == os.getpid()
    names = [thread.name for thread in facts.threads]
    assert "MainThread" in names
    assert "vbd-3-51712" in names
    (main,) = [thread for thread in facts.threads if thread.name == "MainThread"]
    assert main.tid == os.getpid()
    assert main.cpu_seconds > 0
    assert facts.cpu_seconds > 0
    assert facts.resident_bytes > 1 << 20
    assert facts.descriptors >= 3
    assert (facts.grants_mapped, facts.grant_budget) == (12, 100)
    assert facts.uptime >= 0


def test_it_is_read_now_and_then_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfwatch, "PAUSE", 3600.0)
    watch = SelfWatch(tmp_path)
    first = watch.facts([])
    (tmp_path / "fd").mkdir()
    (tmp_path / "fd" / "0").touch()
    assert watch.facts([]) == first
    assert watch.facts([a_disk(rings=(ring(0, 9),))]).grants_mapped == 9
    monkeypatch.setattr(selfwatch, "PAUSE", 0.0)
    assert watch.facts([]).descriptors == 1


def task(proc: Path, tid: int, stat: str, schedstat: str | None = None) -> None:
    folder = proc / "task" / str(tid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(stat)
    if schedstat is not None:
        (folder / "schedstat").write_text(schedstat)


def test_threads_of_any_name(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    fields = " ".join(["S", *map(str, range(1, 11)), str(3 * ticks), str(ticks), "0", "0"])
    task(tmp_path, 2_000_000_010, f"2000000010 (odd ) (name) {fields}\n")
    task(tmp_path, 2_000_000_009, f"2000000009 (worker) {fields}\n", "2500000000 77 4242\n")
    (tmp_path / "task" / "2000000008").mkdir()
    with_counts, without = read_threads(str(tmp_path))
    assert (with_counts.name, with_counts.cpu_seconds, with_counts.wakeups) == ("worker", 2.5, 4242)
    assert (without.name, without.cpu_seconds, without.wakeups) == ("odd ) (name", 4.0, 0)


def test_without_a_proc_there_are_no_facts(tmp_path: Path) -> None:
    facts = SelfWatch(tmp_path / "none").facts([])
    assert (facts.threads, facts.resident_bytes, facts.descriptors) == ((), 0, 0)


def test_an_engine_has_them_in_its_snapshot(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest = r.guest()
        r.attach("g1", r.image(), "xvdb")
        guest.start_load()
        wait_for(lambda: r.engine.snapshot().engine.grants_mapped > 0, 60.0)
        wait_for(lambda: any(t.name.startswith("vbd-") for t in r.engine.snapshot().engine.threads), 60.0)
        assert "control" in [thread.name for thread in r.engine.snapshot().engine.threads]
