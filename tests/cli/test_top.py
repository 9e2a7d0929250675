# SPDX-License-Identifier: MIT
"""top: its rows and their order, a table for a file, one for a terminal, and one for programs."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from dataclasses import replace

import pyte
import pytest

from tests.cli.conftest import Cli
from tests.engine.control.fake_backend import FakeBackend, a_disk
from tests.engine.recording.made import busy, snapshot
from usblkback_tui.cli.parser import SORTS
from usblkback_tui.cli.top import _ORDER, rows_of
from usblkback_tui.engine.control.server import ControlServer
from usblkback_tui.engine.snapshot import Health, Severity, Snapshot


class Working(FakeBackend):
    """Ten reads from one look to the next, a second each."""

    looks = 0

    def snapshot(self) -> Snapshot:
        self.looks += 1
        self.disks = (busy(self.disks[0], 10), *self.disks[1:])
        one = super().snapshot()
        return replace(one, monotonic=one.monotonic + self.looks)


@pytest.fixture
def backend() -> FakeBackend:
    return Working()


def test_batch(cli: Cli, engine: ControlServer, backend: FakeBackend) -> None:
    backend.disks += (a_disk(12, "xvdaa", 1, domain="evil\x1b[2J\n", health=Health()),)
    shown = cli("top", "-b", "-n", "2", "-d", "0.1")
    assert (shown.code, shown.err) == (0, "")
    about, head, first, second, empty, *rest = shown.out.splitlines()
    assert about.endswith("engine on sim, 2 disks, 1 with problems, 10 requests/s, 41.0k/s")
    assert " ".join(head.split()) == "DOM DOMAIN VDEV FRONT BACK r/s w/s rMB/s wMB/s QD p50 p99 ERR HEALTH"
    assert first.split()[:10] == ["3", "g3", "xvdb", "Connected", "Connected", "10", "0", "0.0", "0.0", "3"]
    assert first.split()[10].endswith("µs")
    assert first.split()[12:] == ["1", "slow"]
    assert "evil\\x1b[2J\\x0a" in second
    assert empty == ""
    assert len(rest) == 4
    assert "\x1b" not in shown.out


def test_json(cli: Cli, engine: ControlServer) -> None:
    shown = cli("top", "--json", "-n", "2", "-d", "0.1")
    first, second = map(json.loads, shown.out.splitlines())
    assert (first["version"], first["seconds"], second["seconds"]) == (1, 1.0, 1.0)
    (disk,) = first["disks"]
    assert 0 < disk.pop("p50_ns") < disk.pop("p99_ns")
    assert disk == {
        "domid": 3,
        "domain": "g3",
        "vdev": "xvdb",
        "devid": 51728,
        "frontend_state": "Connected",
        "backend_state": "Connected",
        "reads": 10.0,
        "writes": 0.0,
        "flushes": 0.0,
        "discards": 0.0,
        "read_bytes": 40960.0,
        "written_bytes": 0.0,
        "in_flight": 3,
        "errors": 1,
        "health": {"severity": "warning", "sentence": "slow"},
    }


def test_a_disk_that_has_just_come_has_no_rates() -> None:
    (row,) = rows_of(snapshot(0.0, a_disk(4)), snapshot(1.0, a_disk(3)))
    assert row.rates is None


def test_every_order() -> None:
    quiet, loud = a_disk(1, "xvdz", health=Health()), a_disk(2, "xvda")
    ill = replace(a_disk(3, "xvdm"), health=Health(Severity.ERROR, "broken"))
    before = snapshot(0.0, quiet, loud, ill)
    errors = replace(busy(ill, 5), counters=replace(busy(ill, 5).counters, errors=7, writes=99, in_flight=0))
    now = snapshot(1.0, quiet, busy(loud, 50), errors)
    order = {sort: [row.disk.domid for row in rows_of(before, now, sort)] for sort in SORTS}
    assert order == {
        "dom": [1, 2, 3],
        "vdev": [2, 3, 1],
        "reads": [2, 3, 1],
        "writes": [3, 1, 2],
        "bytes": [2, 3, 1],
        "qd": [1, 2, 3],
        "p50": [2, 3, 1],
        "p99": [2, 3, 1],
        "errors": [3, 1, 2],
        "health": [3, 2, 1],
    }
    assert tuple(_ORDER) == SORTS


@pytest.mark.parametrize("words", [("--sort", "colour"), ("-n", "0"), ("-d", "0"), ("-d", "x")])
def test_usage(cli: Cli, words: tuple[str, ...]) -> None:
    shown = cli("top", *words)
    assert shown.code == 2
    assert shown.err.count("\n") == 1


def test_no_engine(cli: Cli) -> None:
    assert cli("top", "-b").code == 2


@pytest.mark.parametrize("dull", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_on_a_terminal(engine: ControlServer, backend: FakeBackend, dull: dict[str, str]) -> None:
    backend.disks += tuple(a_disk(domid, health=Health()) for domid in range(20, 60))
    master, slave = pty.openpty()
    size = {"LINES": "12", "COLUMNS": "72"}
    with subprocess.Popen(
        [sys.executable, "-m", "usblkback_tui", "top", "-d", "0.1"],
        stdout=slave,
        env={**os.environ, "TERM": "xterm", **size, **dull},
    ) as process:
        os.close(slave)
        printed = b""
        while printed.count(b"engine on sim") < 3:
            printed += os.read(master, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    os.close(master)
    if dull.get("TERM") == "dumb":
        assert b"\x1b" not in printed
        return
    assert (b"\x1b[33m" in printed) == ("NO_COLOR" not in dull)
    assert printed.startswith(b"\x1b[2J\x1b[H")
    screen = pyte.Screen(72, 12)
    pyte.ByteStream(screen).feed(printed.rpartition(b"\x1b[H")[0].replace(b"\x1b[2J", b""))
    lines = [line.rstrip() for line in screen.display]
    assert "engine on sim" in lines[0]
    assert lines[0].endswith("…")
    assert lines[1].split() == ["DOM", "DOMAIN", "VDEV", "BACK", "r/s", "w/s", "QD", "p99", "HEALTH"]
    assert lines[2].split()[:5] == ["3", "g3", "xvdb", "Connected", "10"]
    assert lines[2].endswith("  slow")
    assert lines[10] == "… 33 more disks"
    assert lines[11] == ""
