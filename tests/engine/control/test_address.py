# SPDX-License-Identifier: MIT
"""The place of the control socket: defaults, and directories that are not to be trusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from usblkback_tui.engine.control.address import check_trusted, make_directory, socket_path
from usblkback_tui.protocol.errors import UserError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="chown needs root")


def test_default_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert socket_path("", {"XDG_RUNTIME_DIR": "/run/user/5"}) == Path("/run/usblkback-tui/engine.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 5)
    assert socket_path("", {"XDG_RUNTIME_DIR": "/run/user/5"}) == Path("/run/user/5/usblkback-tui/engine.sock")
    monkeypatch.setenv("HOME", "/home/u")
    assert socket_path("", {}) == Path("/home/u/.cache/usblkback-tui/engine.sock")


def test_a_configured_place_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/u")
    assert socket_path("run/e.sock") == tmp_path / "run" / "e.sock"
    assert socket_path("~/e.sock") == Path("/home/u/e.sock")


def test_a_path_too_long_for_a_socket() -> None:
    assert socket_path("/" + "x" * 106)
    with pytest.raises(UserError, match="path of 108 bytes; choose one of at most 107"):
        socket_path("/" + "x" * 107)


def test_the_directory_is_ours_alone(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    make_directory(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    make_directory(place)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        make_directory(tmp_path / "f")


def test_open_directories_are_refused_and_sticky_ones_are_fine(tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    for mode, fine in ((0o700, True), (0o755, True), (0o775, False), (0o777, False), (0o1777, True)):
        place.chmod(mode)
        if fine:
            check_trusted(place)
        else:
            with pytest.raises(UserError, match=f"can be written by others \\(mode {mode:o}\\)"):
                check_trusted(place)


def test_an_open_directory_above_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "open" / "mine"
    place.mkdir(parents=True)
    place.parent.chmod(0o777)
    with pytest.raises(UserError, match="open can be written by others"):
        check_trusted(place)


def test_a_link_of_ours_is_followed_to_where_it_leads(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    check_trusted(tmp_path / "link")
    real.chmod(0o777)
    with pytest.raises(UserError, match="real can be written by others"):
        check_trusted(tmp_path / "link")


@as_root
def test_other_peoples_directories_and_links_are_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, -1)
    with pytest.raises(UserError, match=r"belongs to another user \(uid 12345\)"):
        check_trusted(theirs)
    mine = tmp_path / "mine"
    mine.mkdir()
    link = tmp_path / "link"
    link.symlink_to(mine)
    os.chown(link, 12345, -1, follow_symlinks=False)
    with pytest.raises(UserError, match="link belongs to another user"):
        check_trusted(link)
