# SPDX-License-Identifier: MIT
"""The peers' programs: found, or installed with apt where we may."""

from __future__ import annotations

import os
import shutil
import subprocess

from benchmarks.errors import BenchmarkError


def ensure(program: str, package: str) -> str:
    """The first line of its ``--version``; installs Debian's ``package`` when root.  Raises BenchmarkError."""
    if shutil.which(program) is None:
        if os.geteuid() or shutil.which("apt-get") is None:
            raise BenchmarkError(f"{program} is not installed; install it (apt-get install {package}) and run again")
        print(f"{program} is not installed: installing {package} with apt-get", flush=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
        run = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        )
        if run.returncode or shutil.which(program) is None:
            raise BenchmarkError(f"apt-get install {package} failed: {run.stderr.strip()}; install {program} yourself")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.strip().partition("\n")[0]
