# SPDX-License-Identifier: MIT
"""What the project needs at run time, installed for dom0's interpreter and compiled ahead of time."""

import sys
import tomllib
from pathlib import Path

from ..cache import Artefact
from ..host import PYTHON, sh

PROJECT = Path(__file__).resolve().parents[4]


def make(folder: Path) -> None:
    version = ".".join(map(str, PYTHON))
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in (17, 28, 34, 36)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:"]
    target = ["--target", str(folder), "--python-version", version, "--implementation", "cp", *platforms]
    sh([*pip, *target, *requirements()])
    compile_all(folder)


def compile_all(folder: Path) -> None:
    """Compile to .pyc files that are never compared with their sources: fewer system calls at each import."""
    sh([sys.executable, "-m", "compileall", "-q", "-j2", "--invalidation-mode", "unchecked-hash", str(folder)])


def requirements() -> tuple[str, ...]:
    """The run-time dependencies as pyproject.toml states them."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return tuple(project["dependencies"])


def wheels() -> Artefact:
    return Artefact("wheels", make, inputs=requirements())
