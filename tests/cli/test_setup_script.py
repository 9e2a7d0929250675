# SPDX-License-Identifier: MIT
"""scripts/setup.sh: which Python it takes, what makes it install again, and what it says when it cannot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("cat", "cksum", "find", "sort", "xargs", "id", "grep", "basename", "sh", "rm")


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """The only folder in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def put(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!{shutil.which('sh')}\n{text}\n")
    file.chmod(0o755)


def shell(code: str, bin_folder: Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(shutil.which("sh")), "-eu", "-c", f". {ROOT}/scripts/setup.sh; {code}", "setup-test"],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": str(bin_folder)},
        timeout=60,
        check=False,
    )


def test_a_python_that_is_too_old_is_passed_over(bin_folder: Path) -> None:
    put(bin_folder, "python3", "exit 1")
    put(bin_folder, "python3.12", f'exec {sys.executable} "$@"')
    assert shell("find_python", bin_folder).stdout == f"{bin_folder}/python3.12\n"


def test_no_python_at_all(bin_folder: Path) -> None:
    done = shell("find_python", bin_folder)
    assert (done.returncode, done.stdout) == (0, "")


def test_missing_packages_without_a_way_to_install_them(bin_folder: Path) -> None:
    put(bin_folder, "dpkg-query", "echo not-installed")
    done = shell("install_packages gcc make", bin_folder)
    assert done.returncode == 1
    assert done.stderr == "setup-test: these are missing and there is no apt-get to install them: gcc make\n"


def test_only_missing_packages_are_installed_and_lists_renewed_when_needed(bin_folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    put(bin_folder, "dpkg-query", 'case "$4" in gcc) echo installed;; *) exit 1;; esac')
    put(bin_folder, "env", 'shift; exec "$@"')
    put(bin_folder, "id", "echo 0")
    put(
        bin_folder,
        "apt-get",
        f'echo "$*" >>{log}; [ "$1" = update ] && : >{tmp_path}/new; [ "$1" = update ] || [ -e {tmp_path}/new ]',
    )
    assert shell("install_packages gcc make kmod", bin_folder).returncode == 0
    install = "install -qq -y --no-install-recommends make kmod"
    assert log.read_text().splitlines() == [install, "update -qq", install]
    log.unlink()
    assert shell("install_packages gcc", bin_folder).returncode == 0
    assert not log.exists()


def test_a_change_of_the_c_code_or_the_packaging_installs_again(bin_folder: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "usblkback_tui" / "engine").mkdir(parents=True)
    for name in ("pyproject.toml", "setup.py", "usblkback_tui/engine/ring.c", "usblkback_tui/engine/ui.py"):
        (tree / name).write_text("1\n")

    def fingerprint(kind: str = "run") -> str:
        done = shell(f"fingerprint {kind} {sys.executable}", bin_folder, tree)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = fingerprint()
    assert fingerprint() == first
    assert fingerprint("check") != first
    (tree / "usblkback_tui/engine/ui.py").write_text("2\n")
    assert fingerprint() == first, "Python code runs from the checkout"
    (tree / "usblkback_tui/engine/ring.c").write_text("2\n")
    second = fingerprint()
    assert second != first
    (tree / "pyproject.toml").write_text("2\n")
    assert fingerprint() not in (first, second)


@pytest.mark.parametrize("name", ["start", "check", ".ci/run"])
def test_scripts_are_there_to_be_run(name: str) -> None:
    file = ROOT / name
    assert file.stat().st_mode & 0o111 == 0o111
    assert subprocess.run(["sh", "-n", str(file)], check=False).returncode == 0
