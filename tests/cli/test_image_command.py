# SPDX-License-Identifier: MIT
"""image create and image info on real files."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Cli


def test_create_and_info(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    made = cli("image", "create", str(path), "8M")
    assert (made.code, made.out) == (0, f"{path} is created: 8.0 MiB, 16384 sectors\n")
    assert path.stat().st_size == 8 << 20
    assert path.stat().st_blocks == 0
    shown = cli("image", "info", str(path))
    assert shown.code == 0
    rows = dict(line.split(None, 1) for line in shown.out.splitlines())
    assert rows["size"] == "8.0 MiB (8388608 bytes, 16384 sectors)"
    assert rows["format"] == "raw (file)"
    assert rows["attachable"] == "yes"
    document = json.loads(cli("image", "info", str(path), "--json").out)
    assert document["version"] == 1
    assert (document["image"]["sectors"], document["image"]["problem"]) == (16384, "")


def test_preallocate(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    document = json.loads(cli("image", "create", str(path), "1M", "--preallocate", "--json").out)
    assert document["image"]["size"] == 1 << 20
    assert path.stat().st_blocks * 512 >= 1 << 20


def test_nothing_is_overwritten(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"precious")
    shown = cli("image", "create", str(path), "1M")
    assert (shown.code, shown.out) == (1, "")
    assert "exists already" in shown.err
    assert path.read_bytes() == b"precious"


def test_what_cannot_be_attached_says_why(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "odd.img"
    path.write_bytes(b"x" * 700)
    shown = cli("image", "info", str(path))
    assert shown.code == 0
    assert "\nattachable  no: " in shown.out
    assert cli("image", "info", str(tmp_path / "none")).code == 1
