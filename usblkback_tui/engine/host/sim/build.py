# SPDX-License-Identifier: MIT
"""Builds the extension ``_sim``: the hypervisor's grants and event channels, and the guest's blkfront.

Run as a script it compiles into this directory.
"""

from __future__ import annotations

import os
from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[3]
_HEADERS = ("sim.h", "guest/blkfront.h")
_SOURCES = ("hypervisor.c", *(f"guest/{part}.c" for part in ("blkfront", "load", "notes", "pages")))
_FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra"]


def _declarations(header: str) -> str:
    """A header without the preprocessor's lines, which is all cffi needs to know of it."""
    lines = (_HERE / header).read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


ffibuilder = FFI()
for _header in _HEADERS:
    ffibuilder.cdef(_declarations(_header))
ffibuilder.set_source(
    "usblkback_tui.engine.host.sim._sim",
    "".join(f'#include "{header}"\n' for header in _HEADERS),
    sources=[os.path.relpath(_HERE / source, _ROOT) for source in _SOURCES],
    include_dirs=[os.path.relpath(_HERE, _ROOT)],
    depends=[os.path.relpath(path, _ROOT) for path in (*_HERE.glob("*.h"), *_HERE.glob("guest/*.h"))],
    extra_compile_args=[*_FLAGS, *(["-Werror"] if os.environ.get("USBLK_WERROR") else [])],
    libraries=["pthread"],
)

if __name__ == "__main__":
    os.chdir(_ROOT)
    ffibuilder.compile(tmpdir=".", verbose=True)
    for left in (*_HERE.rglob("*.o"), _HERE / "_sim.c"):
        left.unlink(missing_ok=True)
