# SPDX-License-Identifier: MIT
"""The two C extensions; everything else is in pyproject.toml."""

from setuptools import setup

setup(
    cffi_modules=[
        "usblkback_tui/engine/datapath/build.py:ffibuilder",
        "usblkback_tui/engine/host/sim/build.py:ffibuilder",
    ]
)
