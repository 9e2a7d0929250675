# SPDX-License-Identifier: MIT
"""Small C programs of the benchmarks, compiled when they are first needed and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.errors import BenchmarkError

_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-pthread")


def program(folder: Path, *more: Path) -> Path:
    """The program of all C files in ``folder`` and the ``more`` files; another one when any of them changes.

    Raises BenchmarkError.
    """
    sources = [*sorted((*folder.glob("*.c"), *folder.glob("*.h"))), *more]
    compiler = os.environ.get("CC", "cc")
    content = b"".join(path.read_bytes() for path in sources) + " ".join((compiler, *_FLAGS)).encode()
    path = _cache() / f"{folder.name}-{hashlib.sha256(content).hexdigest()[:16]}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _compile(compiler, [source for source in sources if source.suffix == ".c"], path)
    return path


def _compile(compiler: str, sources: list[Path], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        try:
            folders = [f"-I{folder}" for folder in sorted({source.parent for source in sources})]
            run = subprocess.run([compiler, *_FLAGS, *folders, "-o", made, *sources], capture_output=True, text=True)
        except OSError as error:
            raise BenchmarkError(f"no C compiler: {compiler}: {error.strerror}; install gcc") from None
        if run.returncode:
            raise BenchmarkError(f"{path.name} cannot be compiled: {run.stderr.strip()}")
        made.rename(path)  # whole or not at all


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "usblkback-tui" / "bench"
