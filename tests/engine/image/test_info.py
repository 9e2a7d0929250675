# SPDX-License-Identifier: MIT
"""What an image says of itself, on images that real tools made where those are at hand."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from usblkback_tui.engine.image.info import image_info
from usblkback_tui.engine.image.raw import open_image
from usblkback_tui.protocol.errors import UserError


def blank(tmp_path: Path, size: int = 64 << 20) -> Path:
    path = tmp_path / "a.raw"
    with path.open("wb") as file:
        file.truncate(size)
    return path


def stamp(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    subprocess.run(command, check=True, capture_output=True)


def test_a_blank_image(tmp_path: Path) -> None:
    path = blank(tmp_path)
    info = image_info(str(path))
    assert (info.format, info.kind, info.size, info.sectors) == ("raw", "file", 64 << 20, 1 << 17)
    assert (info.partition_table, info.table_sector_size, info.filesystem) == ("none", 0, "")
    assert (info.holders, info.users, info.writable, info.problem) == ((), (), True, "")
    assert info.allocated < 1 << 16


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_ext_family(tmp_path: Path, kind: str) -> None:
    path = blank(tmp_path)
    run("mke2fs", "-q", "-t", kind, str(path))
    assert image_info(str(path)).filesystem == kind


def test_swap(tmp_path: Path) -> None:
    path = blank(tmp_path)
    run("mkswap", str(path))
    assert image_info(str(path)).filesystem == "swap"


@pytest.mark.parametrize(
    ("offset", "magic", "name"),
    [(0, b"XFSB", "xfs"), (0x10040, b"_BHRfS_M", "btrfs"), (512, b"LABELONE", "lvm2"), (3, b"NTFS    ", "ntfs")],
)
def test_other_filesystems_by_their_magic(tmp_path: Path, offset: int, magic: bytes, name: str) -> None:
    path = blank(tmp_path)
    stamp(path, offset, magic)
    assert image_info(str(path)).filesystem == name


@pytest.mark.parametrize("sector", [512, 4096])
def test_a_gpt_names_the_sector_size_it_was_written_for(tmp_path: Path, sector: int) -> None:
    path = blank(tmp_path)
    stamp(path, 510, b"\x55\xaa")
    stamp(path, sector, b"EFI PART")
    info = image_info(str(path))
    assert (info.partition_table, info.table_sector_size) == ("gpt", sector)


def test_an_mbr_needs_a_partition(tmp_path: Path) -> None:
    path = blank(tmp_path)
    stamp(path, 510, b"\x55\xaa")
    assert image_info(str(path)).partition_table == "none"
    stamp(path, 446, struct.pack("<B3xB3xII", 0x80, 0x83, 2048, 1000))
    assert image_info(str(path)).partition_table == "mbr"
    stamp(path, 462, b"\x42")
    assert image_info(str(path)).partition_table == "none"


def test_a_boot_sector_of_fat_is_no_partition_table(tmp_path: Path) -> None:
    path = blank(tmp_path)
    stamp(path, 82, b"FAT32   ")
    stamp(path, 446, struct.pack("<B3xB3xII", 0x80, 0x83, 2048, 1000) + bytes(48) + b"\x55\xaa")
    info = image_info(str(path))
    assert (info.partition_table, info.filesystem) == ("none", "vfat")


def test_real_tables(tmp_path: Path) -> None:
    path = blank(tmp_path)
    if shutil.which("sfdisk") is None:
        pytest.skip("sfdisk is not installed")
    for label, table in (("gpt", "gpt"), ("dos", "mbr")):
        subprocess.run(["sfdisk", "-q", str(path)], input=f"label: {label}\n,\n", text=True, check=True)
        assert image_info(str(path)).partition_table == table


def test_a_qcow2_is_not_taken_for_raw(tmp_path: Path) -> None:
    path = blank(tmp_path)
    stamp(path, 0, b"QFI\xfb")
    info = image_info(str(path))
    assert info.format == "qcow2"
    assert "qemu-img convert -f qcow2 -O raw" in info.problem


def test_tiny_and_odd_images_are_described_not_refused(tmp_path: Path) -> None:
    path = blank(tmp_path, 0)
    assert "is empty" in image_info(str(path)).problem
    os.truncate(path, 700)
    info = image_info(str(path))
    assert (info.size, info.sectors) == (700, 1)
    assert "truncate -s 1024" in info.problem


def test_the_holder_is_named_and_it_all_fits_json(tmp_path: Path) -> None:
    path = blank(tmp_path)
    opened = open_image(str(path), True)
    data = json.loads(json.dumps(image_info(str(path)).to_json()))
    opened.close()
    assert [(holder["pid"], holder["exclusive"]) for holder in data["holders"]] == [(os.getpid(), True)]
    assert data["sectors"] == 1 << 17
    assert image_info(str(path)).holders == ()


def test_what_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        image_info(str(tmp_path / "none"))
    with pytest.raises(UserError, match="is a directory"):
        image_info(str(tmp_path))
