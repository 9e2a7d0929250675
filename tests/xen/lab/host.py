# SPDX-License-Identifier: MIT
"""What the lab needs from the machine it runs on, and how it gets it."""

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .cache import cache_root, locked, say

# dom0 is Debian 12 and imports the package that is built here, so interpreter and C library must be the same.
DEBIAN = "bookworm"
PYTHON = (3, 11)
LISTS_AGE = 24 * 3600  # seconds; older package lists name files that mirrors no longer have

PACKAGES = (
    "binutils", "busybox-static", "cpio", "e2fsprogs", "erofs-utils", "gcc", "kmod", "libaio-dev", "libc6-dev",
    "make", "mmdebstrap", "qemu-system-x86", "util-linux", "xz-utils", "zlib1g-dev",
)  # fmt: skip


class LabUnavailable(Exception):
    """The lab cannot be built or run here; the message is one sentence for a person."""


class CommandFailed(Exception):
    """A program of the build ended with an error; the message holds the end of what it said."""


def sh(command: str | Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program (or a bash line) and return what it printed; raise CommandFailed if it fails."""
    args = ["bash", "-euo", "pipefail", "-c", command] if isinstance(command, str) else list(command)
    done = subprocess.run(
        args,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise CommandFailed(f"{' '.join(args)[:300]!r} ended with {done.returncode}:\n{tail}")
    return done.stdout


def prepare_host() -> None:
    """Install the Debian packages that are missing; raise LabUnavailable where that is not possible."""
    release = _os_release().get("VERSION_CODENAME", "unknown")
    if release != DEBIAN or platform.machine() != "x86_64" or sys.version_info[:2] != PYTHON:
        found = f"{release} on {platform.machine()} with Python {platform.python_version()}"
        raise LabUnavailable(
            f"The Xen lab runs on Debian 12 ({DEBIAN}) on x86_64 with Python 3.11, found {found}: "
            "run it in a Debian 12 container or virtual machine."
        )
    with locked("apt"):
        missing = _missing_packages()
        if missing:
            _install(missing)


def _missing_packages() -> list[str]:
    query = ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *PACKAGES]
    out = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    installed = {line.split()[0] for line in out.splitlines() if line.endswith(" installed")}
    return [name for name in PACKAGES if name not in installed]


def _install(missing: list[str]) -> None:
    names = " ".join(missing)
    if os.geteuid() == 0:
        prefix: list[str] = []
    elif shutil.which("sudo") and not subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode:
        prefix = ["sudo", "-n"]
    else:
        raise LabUnavailable(
            f"The Xen lab misses Debian packages and may not install them: run 'apt-get install {names}' as root."
        )
    say(f"installing {names}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        sh([*prefix, "apt-get", "update", "-qq"])
        sh([*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=quiet)
    except CommandFailed as error:
        raise LabUnavailable(f"The Xen lab could not install the Debian packages {names}: {error}") from error


def own_apt() -> str:
    """Options for apt-get with package lists of the lab's own, binary and source, from the system's mirrors.

    Needs no root, and works in an image whose lists were removed.
    """
    folder = cache_root() / "apt"
    lists = folder / "lists"
    options = (
        f"-o Dir::Etc::sourcelist={folder}/debian.sources -o Dir::Etc::sourceparts=- "
        f"-o Dir::State::lists={lists} -o Dir::Cache={folder}/cache -o APT::Sandbox::User="
    )
    with locked("apt"):
        updated = folder / "updated"
        if not updated.exists() or time.time() - updated.stat().st_mtime > LISTS_AGE:
            (lists / "partial").mkdir(parents=True, exist_ok=True)
            (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
            (folder / "debian.sources").write_text(_debian_sources())
            sh(f"apt-get {options} update -qq")
            updated.touch()
    return options


def _debian_sources() -> str:
    """The Debian entries among the system's sources, with the source packages switched on."""
    found = []
    for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for entry in path.read_text().split("\n\n"):
            lines = [line for line in entry.splitlines() if line and not line.startswith("#")]
            if any(line.startswith("Suites:") and DEBIAN in line for line in lines):
                found.append("\n".join("Types: deb deb-src" if x.startswith("Types:") else x for x in lines))
    if found:
        return "\n\n".join(found) + "\n"
    suites = f"Suites: {DEBIAN} {DEBIAN}-updates\nComponents: main\n"
    key = "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    return f"Types: deb deb-src\nURIs: http://deb.debian.org/debian\n{suites}{key}"


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    return {k: v.strip('"') for k, _, v in (line.partition("=") for line in lines)}
