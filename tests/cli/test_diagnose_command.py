# SPDX-License-Identifier: MIT
"""``diagnose``: of an engine, of a dump, and what cannot be told."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.conftest import Cli
from tests.engine.control.fake_backend import FakeBackend, a_disk
from usblkback_tui.engine.control.server import ControlServer
from usblkback_tui.engine.snapshot import Counters
from usblkback_tui.protocol.states import XenbusState as S

DUMP = """\
/local = ""   . . . .  (n0)
/local/domain = ""   . . . .  (n0)
/local/domain/0 = ""  (n0)
/local/domain/0/name = "Domain-0"  (n0)
/local/domain/0/backend/qdisk/5/51712 = ""  (n0,r5)
/local/domain/0/backend/qdisk/5/51712/frontend = "/local/domain/5/device/vbd/51712"  (n0,r5)
/local/domain/0/backend/qdisk/5/51712/state = "2"  (n0,r5)
/local/domain/0/backend/qdisk/5/51728 = ""  (n0,r5)
/local/domain/0/backend/qdisk/5/51728/frontend = "/local/domain/5/device/vbd/51728"  (n0,r5)
/local/domain/0/backend/qdisk/5/51728/state = "4"  (n0,r5)
/local/domain/5 = ""  (n0,r5)
/local/domain/5/name = "we[b]\\x1b[31m"  (n0,r5)
/local/domain/5/device/vbd/51712 = ""  (n5,r0)
/local/domain/5/device/vbd/51712/state = "1"  (n5,r0)
/local/domain/5/device/vbd/51728 = ""  (n5,r0)
/local/domain/5/device/vbd/51728/state = "4"  (n5,r0)
"""


@pytest.fixture
def dump(tmp_path: Path) -> str:
    path = tmp_path / "store.txt"
    path.write_text(DUMP)
    return str(path)


def test_a_dump_for_people(cli: Cli, dump: str) -> None:
    shown = cli("diagnose", "--from", dump)
    assert (shown.code, shown.err) == (1, "")
    assert "▲ xvda of we[b]\\x1b[31m (domain 5): the guest's driver has not offered a ring; another disk" in shown.out
    assert "waiting for             frontend, who should not take longer than 10 s" in shown.out
    assert "frontend/state          1 Initialising" in shown.out
    assert shown.out.endswith("1 finding; 2 disks looked at\n")
    assert "\x1b" not in shown.out


def test_a_dump_for_scripts(cli: Cli, dump: str) -> None:
    shown = cli("diagnose", "5", "xvda", "--from", dump, "--json")
    document = json.loads(shown.out)
    (finding,) = document.pop("findings")
    assert (shown.code, document) == (1, {"version": 1})
    assert list(finding) == ["id", "severity", "domid", "vdev", "sentence", "evidence", "waiting_for", "try"]
    assert (finding["id"], finding["severity"], finding["domid"], finding["vdev"]) == (
        "FE-NO-DRIVER",
        "warning",
        5,
        "xvda",
    )
    assert finding["evidence"]["backend/state"] == "2 InitWait"
    assert finding["waiting_for"] == "frontend"
    assert all(isinstance(one, str) for one in finding["try"])


def test_one_disk_of_a_dump(cli: Cli, dump: str) -> None:
    well = cli("diagnose", "5", "xvdb", "--from", dump, "--json")
    assert (well.code, json.loads(well.out)) == (0, {"version": 1, "findings": []})
    assert cli("diagnose", "5", "xvdb", "--from", dump).out == "nothing is wrong; 1 disk looked at\n"
    missing = cli("diagnose", "5", "xvdz", "--from", dump)
    assert missing.code == 2
    assert "xvdz of 5 is not there; xvda of we[b]" in missing.err
    assert cli("diagnose", "nobody", "--from", dump).code == 2
    assert cli("diagnose", "5", "floppy", "--from", dump).code == 2


def test_stdin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(DUMP.encode())))
    assert cli("diagnose", "--from", "-").code == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "this is no dump of xenstore: it is empty; make one with xenstore-ls -fp > FILE"),
        (b"\x7fELF\0\0\n", 'its line "\\x7fELF\\x00\\x00" is no node'),
        (b'/vm = ""\n', "this dump has no domain"),
    ],
)
def test_what_is_no_dump_is_said_in_one_line(cli: Cli, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    shown = cli("diagnose", "--from", str(path))
    assert shown.code == 2
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert words in shown.err
    as_json = cli("diagnose", "--from", str(path), "--json")
    assert as_json.code == 2
    assert words in json.loads(as_json.out)["error"]["message"]


def test_files_that_cannot_be_read(cli: Cli, tmp_path: Path) -> None:
    assert "No such file" in cli("diagnose", "--from", str(tmp_path / "none")).err
    assert cli("diagnose", "--from", str(tmp_path)).code == 2


def test_the_running_engine(cli: Cli, backend: FakeBackend, engine: ControlServer) -> None:
    backend.disks = (a_disk(counters=Counters(), rings=a_disk().rings),)
    assert cli("diagnose").out == "nothing is wrong; 2 disks looked at\n"
    stuck = replace(backend.disks[0], frontend_state=S.CLOSING, backend_state=S.CLOSING, rings=())
    backend.disks = (replace(stuck, domain="g[3]"),)
    shown = cli("diagnose", "3", "xvdb", "--json")
    assert shown.code == 1
    assert [one["id"] for one in json.loads(shown.out)["findings"]] == ["FE-NO-CLOSE"]
    assert cli("diagnose", "3", "xvdc").code == 0
    assert "stuck " in cli("diagnose").out


def test_without_an_engine(cli: Cli) -> None:
    shown = cli("diagnose")
    assert shown.code == 2
    assert "no engine answers" in shown.err
