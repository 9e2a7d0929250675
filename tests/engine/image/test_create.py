# SPDX-License-Identifier: MIT
"""Making images: sparse or reserved, never over something, nothing left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from usblkback_tui.engine.image.create import create_image
from usblkback_tui.protocol.errors import UserError


def test_sparse_takes_no_space(tmp_path: Path) -> None:
    info = create_image(str(tmp_path / "a.raw"), "1.5G")
    assert (info.size, info.sectors, info.problem) == (3 << 29, 3 << 20, "")
    assert info.allocated < 1 << 16
    assert (tmp_path / "a.raw").stat().st_mode & 0o777 == 0o600


def test_preallocated_takes_it_all(tmp_path: Path) -> None:
    assert create_image(str(tmp_path / "a.raw"), "1M", sparse=False).allocated >= 1 << 20


def test_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_text("precious")
    with pytest.raises(UserError, match="exists already") as caught:
        create_image(str(path), "1M")
    assert caught.value.key == "path"
    assert path.read_text() == "precious"
    (tmp_path / "dangling").symlink_to(tmp_path / "target")
    with pytest.raises(UserError, match="exists already"):
        create_image(str(tmp_path / "dangling"), "1M")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("path", "size", "words", "key"),
    [
        ("no/folder/a.raw", "1M", "there is no folder", "path"),
        ("", "1M", "is not a path", "path"),
        ("a.raw", "1X", "is not a size", "size"),
        ("a.raw", "7E", "more than the filesystem", "size"),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, size: str, words: str, key: str) -> None:
    monkeypatch.chdir(tmp_path)
    if size == "7E" and not _has_a_file_limit(tmp_path):
        pytest.skip("this filesystem takes files of any size")
    with pytest.raises(UserError, match=words) as caught:
        create_image(path, size)
    assert (caught.value.key, bool(caught.value.fix)) == (key, True)
    assert os.listdir(tmp_path) == []


def test_a_full_filesystem_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"size 1 MiB does not fit: .* free; free some space, or create it sparse"):
        create_image(str(tmp_path / "a.raw"), "1M", sparse=False)
    assert os.listdir(tmp_path) == []


def _has_a_file_limit(folder: Path) -> bool:
    probe = folder / "probe"
    try:
        with probe.open("wb") as file:
            os.ftruncate(file.fileno(), 7 << 60)
    except OSError:
        return True
    finally:
        probe.unlink()
    return False
