# SPDX-License-Identifier: MIT
"""attach, detach, status and watch against an engine on a socket."""

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
from tests.engine.control.fake_backend import FakeBackend, a_disk
from usblkback_tui.cli.output import JSON_VERSION
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.control.server import ControlServer
from usblkback_tui.engine.control.status import STATUS_VERSION
from usblkback_tui.engine.settings import DirectIo, DiskOptions, IoChoice
from usblkback_tui.engine.snapshot import StateChange
from usblkback_tui.protocol.states import XenbusState


@pytest.mark.parametrize(
    "words", [("status",), ("watch",), ("attach", "g", "/i", "xvdb"), ("detach", "g", "xvdb"), ("status", "--json")]
)
def test_no_engine_is_one_sentence_and_two(cli: Cli, words: tuple[str, ...]) -> None:
    shown = cli(*words)
    assert shown.code == 2
    assert shown.err.startswith("usblkback-tui: no engine answers at ")
    assert shown.err.count("\n") == 1
    if "--json" in words:
        document = json.loads(shown.out)
        assert document["version"] == 1
        assert document["error"]["key"] == "socket"
        assert document["error"]["fix"].startswith("start one with")
    else:
        assert shown.out == ""


def test_status_as_a_table(cli: Cli, engine: ControlServer, backend: FakeBackend) -> None:
    backend.disks = (
        a_disk(),
        a_disk(12, "xvdaa", 1, domain="evil\x1b[2J\n", frontend_state=XenbusState.INIT_WAIT, sectors=0, rings=()),
    )
    shown = cli("status")
    assert shown.code == 0
    about, head, first, second = shown.out.splitlines()
    assert f"pid {os.getpid()} on sim" in about
    assert "2 of 64 disks" in about
    assert head.split()[:5] == ["DOM", "DOMAIN", "VDEV", "MODE", "SIZE"]
    assert first.split()[:10] == ["3", "g3", "xvdb", "w", "64.0", "MiB", "Connected", "Connected", "1", "70"]
    assert first.endswith("/img/größe 1.img  slow")
    assert "evil\\x1b[2J\\x0a" in second
    assert "InitWait" in second
    at = head.index("FRONT")
    assert first[at:].startswith("Connected")
    assert second[at:].startswith("InitWait")
    assert "\x1b" not in shown.out


def test_status_without_disks(cli: Cli, engine: ControlServer, backend: FakeBackend) -> None:
    backend.disks = ()
    shown = cli("status")
    assert shown.out.count("\n") == 1
    assert "0 of 64 disks" in shown.out


def test_status_has_what_waits(cli: Cli, engine: ControlServer, backend: FakeBackend) -> None:
    backend.attach_later(AttachRequest("la\x1bte", "/img", "xvdb"))
    assert cli("status").out.endswith("waits for domain la\\x1bte: xvdb = /img\n")
    backend.attach_later(AttachRequest("late", "/img", "xvdb"), 60.0)
    (one,) = json.loads(cli("status", "--json").out)["pending"]
    assert (one["domain"], one["vdev"], one["until"] - one["since"]) == ("late", "xvdb", 60.0)


def test_status_as_json(cli: Cli, engine: ControlServer) -> None:
    shown = cli("status", "--json")
    document = json.loads(shown.out)
    assert shown.out.count("\n") == 1
    assert document["version"] == 1
    assert document["disks"][0]["frontend_state"] == "Connected"
    assert document["disks"][0]["bytes_read"] == 286720


def test_the_two_json_versions_are_one_contract() -> None:
    assert JSON_VERSION == STATUS_VERSION == 1


def test_attach(
    cli: Cli, engine: ControlServer, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = cli("attach", "g1", "disk.img", "xvdc", "--mode", "r")
    assert shown.code == 0, shown.err
    assert shown.out == f"xvdc of g1 is attached to {tmp_path}/disk.img (frontend Connected, backend Connected)\n"
    assert backend.calls[0] == ("attach", AttachRequest("g1", f"{tmp_path}/disk.img", "xvdc", "r"), 0.0)


def test_attach_waits_for_a_domain_that_is_not_there(cli: Cli, engine: ControlServer, backend: FakeBackend) -> None:
    backend.on_pending = lambda: setattr(backend, "disks", (a_disk(domain="late", image="/img"),))
    shown = cli("attach", "late", "/img", "xvdb", "--wait", "60")
    assert shown.code == 0, shown.err
    assert shown.out == "xvdb of late is attached to /img (frontend Connected, backend Connected)\n"
    assert "waiting for domain late; usblkback-tui detach late xvdb takes it back" in shown.err
    assert backend.calls[0] == ("attach_later", AttachRequest("late", "/img", "xvdb"), 60.0)
    assert backend.calls[1][0] == "plan"


def test_a_domain_that_did_not_appear_is_a_failure(cli: Cli, engine: ControlServer, backend: FakeBackend) -> None:
    shown = cli("attach", "late", "/img", "xvdb", "--wait")
    assert shown.code == 1
    assert "xvdb of late is not attached: the domain did not appear" in shown.err
    assert backend.calls[0] == ("attach_later", AttachRequest("late", "/img", "xvdb"), 86400.0)


def test_attach_with_options(cli: Cli, engine: ControlServer, backend: FakeBackend) -> None:
    options = ("--max-queues", "2", "--direct-io", "no", "--io-engine", "sync", "--indirect-segments", "0")
    shown = cli("attach", "g1", "/img", "xvdc", *options, "--device-type", "cdrom", "--sector-size", "4096")
    assert shown.code == 0, shown.err
    assert backend.calls[0][1] == AttachRequest(
        "g1",
        "/img",
        "xvdc",
        "w",
        DiskOptions(
            max_queues=2,
            direct_io=DirectIo.NO,
            io_engine=IoChoice.SYNC,
            indirect_segments=0,
            device_type="cdrom",
            sector_size=4096,
        ),
    )


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--max-queues", "17", "--max-queues is 17; set it to a whole number from 1 to 16"),
        ("--max-queues", "many", "--max-queues is 'many'; set it to a whole number from 1 to 16"),
        ("--indirect-segments", "11", "--indirect-segments is 11; set it to 0 or a whole number from 12 to 4096"),
        ("--direct-io", "perhaps", "--direct-io is 'perhaps'; set it to \"auto\", true or false"),
        ("--io-engine", "null", "--io-engine is 'null'; set it to"),
        ("--persistent-pages", "-1", "--persistent-pages is -1; set it to"),
    ],
)
def test_attach_with_an_option_out_of_its_range(
    cli: Cli, engine: ControlServer, backend: FakeBackend, option: str, value: str, words: str
) -> None:
    shown = cli("attach", "g1", "/img", "xvdc", option, value)
    assert (shown.code, shown.out) == (2, "")
    assert words in shown.err
    assert shown.err.count("\n") == 1
    assert backend.calls == []


def test_a_dry_run_shows_what_would_be_written_and_offered(
    cli: Cli, engine: ControlServer, backend: FakeBackend
) -> None:
    shown = cli("attach", "g1", "/img", "xvdc", "--dry-run")
    assert shown.code == 0, shown.err
    assert "/local/a  1" in shown.out
    assert "multi-queue-max-queues  4" in shown.out
    assert [call[0] for call in backend.calls] == ["plan"]
    document = json.loads(cli("attach", "g1", "/img", "xvdc", "--dry-run", "--json").out)
    assert document["plan"]["offers"] == [["multi-queue-max-queues", "4"]]


def test_resize(cli: Cli, engine: ControlServer, backend: FakeBackend) -> None:
    shown = cli("resize", "g3", "xvdb", "1G")
    assert shown.out == "xvdb of g3 has 1.0 GiB now (2097152 sectors)\n"
    assert backend.calls[-1] == ("resize", "g3", "xvdb", 2097152)
    cli("resize", "3", "xvdb", "+64M")
    assert backend.calls[-1] == ("resize", "3", "xvdb", 131072 + 131072)
    assert json.loads(cli("resize", "g3", "xvdb", "--json").out)["disk"]["sectors"] == 262144
    assert ("resize", "g3", "xvdb", None) in backend.calls


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("g3", "xvdb", "lots"), "size 'lots' is not a size"),
        (("g3", "xvdb", "+"), "size '' is not a size"),
        (("g3", "xvdb", "+1"), "no whole number of 512-byte sectors"),
        (("g3", "xvdb", "+8E"), "more than a file can hold"),
        (("g4", "xvdb", "+1G"), "xvdb of g4 is not attached"),
        (("g3", "xvdz"), "xvdz of g3 is not attached"),
    ],
)
def test_resize_that_is_refused(
    cli: Cli, engine: ControlServer, backend: FakeBackend, args: tuple[str, ...], words: str
) -> None:
    shown = cli("resize", *args)
    assert (shown.code, shown.out) == (1, "")
    assert words in shown.err


def test_attach_as_json(cli: Cli, engine: ControlServer) -> None:
    document = json.loads(cli("attach", "g1", "/img", "xvdc", "--json", "--wait", "2").out)
    assert document["version"] == 1
    assert (document["disk"]["vdev"], document["disk"]["backend_state"]) == ("xvdc", "Connected")


def test_attach_that_does_not_connect_in_time(cli: Cli, engine: ControlServer, backend: FakeBackend) -> None:
    assert cli("attach", "slow", "/img", "xvdc").code == 0
    shown = cli("attach", "slow", "/img", "xvdc", "--wait", "0.5")
    assert shown.code == 1
    assert shown.out.startswith("xvdc of slow is attached")
    assert "after 0.5 s it is not connected (frontend Initialising, backend Connected)" in shown.err
    assert backend.calls[-2][2] == 0.5


def test_attach_that_is_refused(cli: Cli, engine: ControlServer) -> None:
    shown = cli("attach", "g1", "/missing", "xvdc")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err == "usblkback-tui: image '/missing' is not there; create it\n"
    document = json.loads(cli("attach", "g1", "/missing", "xvdc", "--json").out)
    assert document["error"]["key"] == "image"


def test_detach(cli: Cli, engine: ControlServer, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("detach", "g3", "xvdb").out == "xvdb of g3 is detached\n"
    assert backend.calls[-1] == ("detach", "g3", "xvdb", False, 10.0)
    monkeypatch.setenv("USBLKBACK_DETACH_SECONDS", "3")
    assert json.loads(cli("detach", "g3", "xvdb", "--force", "--json").out)["detached"] == {
        "domain": "g3",
        "vdev": "xvdb",
    }
    assert backend.calls[-1] == ("detach", "g3", "xvdb", True, 3.0)
    cli("detach", "g3", "xvdb", "--wait", "0")
    assert backend.calls[-1] == ("detach", "g3", "xvdb", False, 0.0)


def test_detach_that_is_refused(cli: Cli, engine: ControlServer) -> None:
    shown = cli("detach", "g3", "xvdz")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err == "usblkback-tui: xvdz of g3 is not attached; see usblkback-tui status\n"


def test_a_config_that_cannot_be_used_is_two(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[engine]\nmax_disk = 3\n")
    shown = cli("status", "--config", str(file))
    assert shown.code == 2
    assert shown.err == f"usblkback-tui: {file}: engine.max_disk is unknown; did you mean 'max_disks'?\n"
    assert cli("--config", str(tmp_path / "none"), "status").code == 2


def watcher(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "usblkback_tui", "watch", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_watcher(engine: ControlServer) -> None:
    deadline = time.monotonic() + 10
    while not engine._connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)


def test_watch_until_the_engine_ends(engine: ControlServer, backend: FakeBackend) -> None:
    with watcher() as process:
        wait_for_watcher(engine)
        backend.say("xvdb of g3 is attached")
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line[10] == " "
        assert line.endswith("  good     xvdb of g3 is attached\n")
        engine.stop()
        _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert err.startswith("usblkback-tui: the engine at ")
    assert err.endswith(" ended\n")


def test_watch_as_json_until_interrupted(engine: ControlServer, backend: FakeBackend) -> None:
    with watcher("--json") as process:
        wait_for_watcher(engine)
        change = StateChange(2.5, "backend", XenbusState.INIT_WAIT, XenbusState.CONNECTED)
        backend.say("connected", kind="state", domid=3, devid=51728, vdev="xvdb", change=change)
        assert process.stdout is not None
        event = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)
    assert (process.returncode, out, err) == (0, "", "")
    assert event.pop("time") > 0
    assert event == {
        "version": 1,
        "seq": 1,
        "severity": "good",
        "kind": "state",
        "text": "connected",
        "domid": 3,
        "devid": 51728,
        "vdev": "xvdb",
        "change": {"end": "backend", "old": "InitWait", "new": "Connected", "time": 2.5},
    }


def test_a_reader_that_goes_away_is_no_news(engine: ControlServer, backend: FakeBackend) -> None:
    backend.disks = tuple(a_disk(domid) for domid in range(1, 2001))
    with subprocess.Popen(
        [sys.executable, "-m", "usblkback_tui", "status"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 1
