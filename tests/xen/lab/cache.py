# SPDX-License-Identifier: MIT
"""Artefacts: folders that are built once and named by a hash of everything they were built from.

A folder `NAME-HASH` exists only when it is complete: it is filled under another name and renamed at the end,
under a lock, so an interrupted build leaves nothing that could be taken for a result.
"""

import fcntl
import hashlib
import inspect
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEPT_VERSIONS = 2
_started = time.monotonic()


def say(text: str) -> None:
    """Tell the person at the terminal how far the lab is; building takes minutes."""
    print(f"xen lab: [{time.monotonic() - _started:5.1f} s] {text}", file=sys.stderr, flush=True)


def cache_root() -> Path:
    """The folder of all artefacts: $USBLK_LAB, or usblkback-tui/xen-lab in the user's cache folder."""
    own = os.environ.get("USBLK_LAB")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "usblkback-tui" / "xen-lab"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` of the cache: against other threads and other processes alike."""
    folder = cache_root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Artefact:
    """One folder of results.

    `make(folder)` fills an empty folder. The hash covers the source file that defines `make`, and `inputs`:
    files and folders by content, strings as they are, other artefacts by their hash.
    """

    name: str
    make: Callable[[Path], None]
    inputs: tuple["Artefact | Path | str", ...] = ()

    @property
    def key(self) -> str:
        total = hashlib.sha256(Path(inspect.getfile(self.make)).read_bytes())
        for given in self.inputs:
            total.update(b"\0" + _fingerprint(given))
        return total.hexdigest()[:12]

    @property
    def path(self) -> Path:
        return cache_root() / f"{self.name}-{self.key}"

    def get(self) -> Path:
        """The complete folder, built now if it is missing."""
        path = self.path
        if path.is_dir():
            return path
        with locked(path.name):
            if path.is_dir():  # somebody else built it while we waited for the lock
                return path
            start = time.monotonic()
            unfinished = path.with_name(f"{path.name}.unfinished")
            remove(unfinished)
            unfinished.mkdir(parents=True)
            try:
                self.make(unfinished)
            except BaseException:
                remove(unfinished)
                raise
            unfinished.rename(path)
            say(f"{self.name} built in {time.monotonic() - start:.1f} s")
        self._forget_old_versions()
        return path

    def _forget_old_versions(self) -> None:
        versions = [p for p in cache_root().glob(f"{self.name}-" + "[0-9a-f]" * 12) if p.is_dir()]
        versions.sort(key=lambda p: p.stat().st_mtime, reverse=True)
        for old in versions[KEPT_VERSIONS:]:
            remove(old)


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _fingerprint(given: "Artefact | Path | str") -> bytes:
    if isinstance(given, Artefact):
        return given.key.encode()
    if isinstance(given, str):
        return given.encode()
    if given.is_dir():
        files = sorted(p for p in given.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return b"\0".join(str(p.relative_to(given)).encode() + _fingerprint(p) for p in files)
    return hashlib.sha256(given.read_bytes()).digest()
