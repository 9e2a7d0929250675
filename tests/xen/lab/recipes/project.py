# SPDX-License-Identifier: MIT
"""The project itself, built as a user would install it, as one tar to unpack over dom0's root."""

import importlib.util
import shutil
import sys
import tarfile
from fnmatch import fnmatch
from pathlib import Path

from ..cache import Artefact
from ..host import sh
from .dom0_image import SITE_PACKAGES
from .wheels import PROJECT, compile_all

SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "config.toml", "usblkback_tui")
BUILT = ("__pycache__", "*.so", "*.o", "_core.c", "_sim.c")
"""What an in-place build leaves among the sources."""
LAUNCHER = """#!/usr/bin/python3
import sys
from usblkback_tui.cli import main
sys.exit(main())
"""


def make(folder: Path) -> None:
    copy, root = folder / "copy", folder / "root"
    copy.mkdir()
    for source in _sources():
        if source.is_dir():
            shutil.copytree(source, copy / source.name, ignore=shutil.ignore_patterns(*BUILT))
        else:
            shutil.copy(source, copy)
    (copy / "README.md").touch()  # named by pyproject.toml, so it must exist to build

    site = root / SITE_PACKAGES
    isolation = ["--no-build-isolation"] if _can_build_here() else []
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    sh([*pip, *isolation, "--target", str(site), str(copy)])
    shutil.rmtree(site / "bin", ignore_errors=True)  # its launcher names this machine's interpreter
    compile_all(site)

    launcher = root / "usr" / "local" / "bin" / "usblkback-tui"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    with tarfile.open(folder / "project.tar", "w") as tar:
        tar.add(root, arcname=".", filter=_as_root)
    shutil.rmtree(copy)
    shutil.rmtree(root)


def _sources() -> tuple[Path, ...]:
    return tuple(PROJECT / name for name in SOURCES if (PROJECT / name).exists())


def _can_build_here() -> bool:
    return all(importlib.util.find_spec(name) for name in ("setuptools", "cffi"))


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def project() -> Artefact:
    files = [file for source in _sources() for file in ([source] if source.is_file() else sorted(source.rglob("*")))]
    read = [file for file in files if file.is_file() and not _built(file)]
    return Artefact("project", make, inputs=(*(str(file.relative_to(PROJECT)) for file in read), *read))


def _built(file: Path) -> bool:
    return any(fnmatch(part, pattern) for part in file.parts for pattern in BUILT)
