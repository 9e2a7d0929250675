# SPDX-License-Identifier: MIT
"""A hypervisor, a host on it, an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from usblkback_tui.engine.host.sim import Hypervisor, SimHost


@pytest.fixture
def hypervisor() -> Iterator[Hypervisor]:
    hypervisor = Hypervisor()
    yield hypervisor
    hypervisor.close()


@pytest.fixture
def host(hypervisor: Hypervisor) -> Iterator[SimHost]:
    host = SimHost(hypervisor)
    host.open()
    yield host
    host.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 << 20))
    return path
