# SPDX-License-Identifier: MIT
"""record: how it ends, what it says, and what is in the file then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.engine.control.fake_backend import FakeBackend
from usblkback_tui.engine.control.server import ControlServer
from usblkback_tui.engine.recording.reader import Recording


def test_for_some_seconds(cli: Cli, engine: ControlServer, tmp_path: Path) -> None:
    shown = cli("record", str(tmp_path / "r"), "--seconds", "0.5", "--hz", "10")
    assert shown.code == 0, shown.err
    assert shown.out.startswith(f"{tmp_path}/r: ")
    assert shown.out.rstrip().endswith(" 1 disk")
    assert shown.err == ""
    with Recording(tmp_path / "r") as recording:
        assert recording.frame(0).snapshot.disks[0].image == "/img/größe 1.img"
        assert recording.header.redacted == ()


def test_redacted_and_as_json(cli: Cli, engine: ControlServer, backend: FakeBackend, tmp_path: Path) -> None:
    backend.say("image /img/größe 1.img of g3 is attached")
    words = ("--seconds", "0.2", "--hz", "10", "--redact-names", "--json")
    document = json.loads(cli("record", str(tmp_path / "r"), *words).out)
    assert document["version"] == 1
    with Recording(tmp_path / "r") as recording:
        assert document["recording"].pop("seconds") > 0.1
        assert document["recording"] == {
            "path": f"{tmp_path}/r",
            "frames": recording.count,
            "dropped": 0,
            "bytes": recording.size,
            "problem": "",
        }
        frame = recording.frame(0)
        assert (frame.snapshot.disks[0].image, frame.snapshot.disks[0].domain) == ("image-1", "domain-1")
        assert frame.events[0].text == "image image-1 of domain-1 is attached"
        assert recording.header.redacted == ("images", "names")


def test_what_cannot_be_begun(cli: Cli, engine: ControlServer, tmp_path: Path) -> None:
    (tmp_path / "r").write_text("mine")
    shown = cli("record", str(tmp_path / "r"))
    assert (shown.code, shown.out) == (1, "")
    assert shown.err == f"usblkback-tui: {tmp_path}/r exists already; choose another name, or remove it first\n"
    shown = cli("record", str(tmp_path / "other"), "--socket", str(tmp_path / "nobody"))
    assert shown.code == 2
    assert "no engine answers" in shown.err
    assert not (tmp_path / "other").exists()


def recording_process(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "usblkback_tui", "record", str(path), "--hz", "10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_order(engine: ControlServer, tmp_path: Path, number: signal.Signals) -> None:
    with recording_process(tmp_path / "r") as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.startswith(f"{tmp_path}/r: ")


def test_an_engine_that_ends_is_told(engine: ControlServer, tmp_path: Path) -> None:
    with recording_process(tmp_path / "r") as process:
        engine.stop()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("usblkback-tui: the recording ended: ")
    assert err.count("\n") == 1
