# SPDX-License-Identifier: MIT
"""One hypervisor for a file of tests, an image for each, and rings served on demand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.engine.datapath.served import Served
from usblkback_tui.engine.datapath.ring import GrantMode
from usblkback_tui.engine.host.sim import Hypervisor

IMAGE_BYTES = 1 << 20
_NOISE = random.Random(1).randbytes(IMAGE_BYTES)

Serve = Callable[..., Served]


@pytest.fixture(scope="module")
def hypervisor() -> Iterator[Hypervisor]:
    """Shared by the tests of a file: it keeps the memory of dead domains, and their descriptors, until it ends."""
    hypervisor = Hypervisor()
    yield hypervisor
    hypervisor.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file of random bytes, the same each time."""
    path = tmp_path / "disk.img"
    path.write_bytes(_NOISE)
    return path


@pytest.fixture
def serve(hypervisor: Hypervisor, image: Path) -> Iterator[Serve]:
    """``serve(mode, ...)``: a ring over the image, or over ``image=...``; see ``Served``."""
    with ExitStack() as rings:

        def make(*args: Any, **kwargs: Any) -> Served:
            return rings.enter_context(Served(hypervisor, kwargs.pop("image", image), *args, **kwargs))

        yield make


@pytest.fixture(params=list(GrantMode), ids=lambda mode: mode.value)
def mode(request: pytest.FixtureRequest) -> GrantMode:
    assert isinstance(request.param, GrantMode)
    return request.param


@pytest.fixture(params=["x86_64-abi", "x86_32-abi"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)
