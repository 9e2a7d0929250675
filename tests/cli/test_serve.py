# SPDX-License-Identifier: MIT
"""serve as a process: signals, its log, its socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.control.client import RemoteBackend
from usblkback_tui.engine.control.server import ControlServer


@contextmanager
def serving(tmp_path: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cli.engine_process", "serve", "--socket", str(tmp_path / "s" / "e.sock")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, USBLKBACK_DETACH_SECONDS="2.5") as process:
        assert first_line(process).endswith("  good     the engine is up\n")
        assert RemoteBackend(tmp_path / "s" / "e.sock").engine_pid() == process.pid
        process.send_signal(number)
        _, err = process.communicate(timeout=90)
    assert process.returncode == 0
    assert [line.removeprefix("usblkback-tui: ") for line in err.splitlines()] == [
        f"serving, control socket {tmp_path}/s/e.sock",
        "detaching all disks",
        "engine stopped, force after 2.5 s",
        "ended",
    ]
    assert not (tmp_path / "s" / "e.sock").exists()


def test_a_closed_terminal_does_not_end_it(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        first_line(process)
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        assert process.stderr.readline() == ("usblkback-tui: SIGHUP ignored: disks stay attached; end with SIGTERM\n")
        remote = RemoteBackend(tmp_path / "s" / "e.sock")
        assert remote.next_vdev("g3") == "xvdc"
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0


def test_a_client_can_end_it(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        first_line(process)
        RemoteBackend(tmp_path / "s" / "e.sock").stop()
        assert process.wait(90) == 0


def test_nobody_reading_its_log_does_not_end_it(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        first_line(process)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.close()
        remote = RemoteBackend(tmp_path / "s" / "e.sock")
        remote.plan(AttachRequest("say", "/img", "xvda"))
        process.send_signal(signal.SIGHUP)
        time.sleep(0.6)
        assert remote.next_vdev("g3") == "xvdc"
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 1, "what it had to say at the end could not be said"


def test_a_second_engine_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        first_line(first)
        with serving(tmp_path) as second:
            out, err = second.communicate(timeout=90)
        assert (second.returncode, out) == (2, "")
        assert err.startswith(f"usblkback-tui: an engine with pid {first.pid} already answers at ")
        assert "engine stopped" not in err


def test_waiting_for_the_hypervisor_can_be_ended(tmp_path: Path) -> None:
    with serving(tmp_path, USBLK_TEST_WAIT="1") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "usblkback-tui: waiting: no hypervisor\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0


@pytest.mark.skipif(os.path.exists("/dev/xen/gntdev"), reason="this machine has Xen")
def test_without_xen_it_says_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    shown = cli("serve", "--socket", str(tmp_path / "s" / "e.sock"))
    assert shown.code == 1
    assert "Xen" in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "s" / "e.sock").exists()


def test_no_terminal_no_ui(cli: Cli, engine: ControlServer) -> None:
    shown = cli()
    assert shown.code == 2
    assert shown.err == (
        "usblkback-tui: the terminal UI needs a terminal; run usblkback-tui serve for an engine without a screen\n"
    )
