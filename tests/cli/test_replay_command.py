# SPDX-License-Identifier: MIT
"""replay without the UI: what is in a recording, its frames for other programs, copies of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.engine.recording.made import frames, write
from usblkback_tui.engine.control.codec import decode
from usblkback_tui.engine.recording.frame import Frame
from usblkback_tui.engine.recording.reader import Recording


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "r.usbr", frames(30, begin=100.0))
    return tmp_path / "r.usbr"


def test_info(cli: Cli, path: Path) -> None:
    shown = cli("replay", str(path), "--info")
    assert shown.code == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.out.splitlines()}
    assert rows["made"] == "by usblkback-tui 0.0.0 on sim, 1 frames a second wanted"
    assert rows["holds"] == "29 s, 30 frames, 12 events"
    assert rows["redacted"] == "nothing"
    assert rows["remarks"] == "the first 100 s made room for later ones"
    assert rows["disk"] == "xvdb of g3: /img/größe 1.img (slow)"


def test_info_as_json(cli: Cli, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    document = json.loads(cli("replay", str(path), "--json").out)
    assert document["version"] == 1
    recording = document["recording"]
    assert (recording["first"], recording["last"], recording["frames"]) == (100.0, 121.0, 22)
    assert (recording["truncated"], recording["redacted"], recording["host"]) == (True, [], "sim")
    assert recording["disks"] == [{"domid": 3, "domain": "g3", "vdev": "xvdb", "image": "/img/größe 1.img"}]


def test_export(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from usblkback_tui.cli import main

    assert main(["replay", str(path), "--export", "--from", "110", "--to", "112.5"]) == 0
    documents = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [document.pop("version") for document in documents] == [1, 1, 1]
    assert [decode(Frame, document) for document in documents] == list(frames(30, begin=100.0))[10:13]


def test_export_redacted(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from usblkback_tui.cli import main

    assert main(["replay", str(path), "--export", "--redact-names"]) == 0
    text = capfdbinary.readouterr().out.decode()
    assert text.count("\n") == 30
    assert "img/" not in text
    assert "g3" not in text
    assert '"image":"image-1"' in text


def test_a_copy(cli: Cli, path: Path, tmp_path: Path) -> None:
    shown = cli("replay", str(path), "--save", str(tmp_path / "copy"), "--redact", "--from", "105")
    assert shown.code == 0, shown.err
    assert shown.out.startswith(f"{tmp_path}/copy is written: 25 frames, ")
    with Recording(path) as old, Recording(tmp_path / "copy") as new:
        assert new.header.redacted == ("images",)
        assert (new.first, new.last, new.count) == (105.0, old.last, 25)
        assert new.header.created == old.header.created
        assert new.frame(3).snapshot.disks[0].image == "image-1"
        assert new.frame(3).snapshot.disks[0].counters == old.frame(8).snapshot.disks[0].counters
    again = json.loads(cli("replay", str(tmp_path / "copy"), "--save", str(tmp_path / "two"), "--json").out)
    assert again["recording"]["redacted"] == ["images"]
    assert cli("replay", str(path), "--save", str(path)).code == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "the terminal UI needs a terminal; use --info, --json or --export without one"),
        (("--redact",), 2, "--redact, --redact-names and --to are for a copy"),
        (("--info", "--to", "3"), 2, "use them with --export or --save"),
        (("--info", "--export"), 2, "not allowed with argument --info"),
        (("--export", "--from", "500"), 2, "there are no frames from 500 to 129 s; the recording has 100 to 129 s"),
        (("--export", "--from", "x"), 2, "'x' is no place"),
        (("--speed", "0"), 2, "'0' is no speed: use 0.1 to 100"),
    ],
)
def test_what_makes_no_sense(cli: Cli, path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    shown = cli("replay", str(path), *words)
    assert (shown.code, shown.out) == (code, "")
    assert said in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("words", [("--info",), ("--json",), ("--export",), ("--save", "/nowhere/x")])
def test_a_file_that_is_none(cli: Cli, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "f").write_bytes(b"\x00garbage")
    shown = cli("replay", str(tmp_path / "f"), *words)
    assert shown.code == 1
    assert "is no recording that can be read" in shown.err
    assert shown.err.count("\n") == 1
