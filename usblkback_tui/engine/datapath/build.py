# SPDX-License-Identifier: MIT
"""Builds ``_core``: the C data path as a cffi extension.  Run as a script it builds in place."""

import os
from pathlib import Path

from cffi import FFI

HERE = "usblkback_tui/engine/datapath"
"""Relative to the project's root, from where setuptools runs this file."""

SOURCES = [
    "ring.c",
    "request.c",
    "grants.c",
    "vbd.c",
    "log.c",
    "poller.c",
    "wait.c",
    "io.c",
    "io_sync.c",
    "io_null.c",
    "io_mmap.c",
    "io_uring.c",
    "io_auto.c",
    "guard.c",
]

flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden"]
if os.environ.get("USBLK_WERROR"):
    flags.append("-Werror")

ffibuilder = FFI()
ffibuilder.cdef(Path(HERE, "api.h").read_text())
ffibuilder.set_source(
    "usblkback_tui.engine.datapath._core",
    '#include "usblk.h"',
    sources=[f"{HERE}/{name}" for name in SOURCES],
    include_dirs=[HERE],
    extra_compile_args=flags,
)

if __name__ == "__main__":
    os.chdir(Path(__file__).parents[3])
    ffibuilder.compile(verbose=True)
