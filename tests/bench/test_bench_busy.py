# SPDX-License-Identifier: MIT
"""The busy loop burns where it is told to, and is no more when it is over."""

from __future__ import annotations

import threading
import time

import pytest

from benchmarks.busy import busy
from benchmarks.foreign import own_seconds

PATIENCE = 60.0


def wait_burnt(began: float) -> None:
    deadline = time.monotonic() + PATIENCE
    while own_seconds() - began < 0.1:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_thread_burns_cpu_of_this_process_that_can_be_told_apart() -> None:
    with busy("thread") as clock:
        deadline = time.monotonic() + PATIENCE
        while clock() < 0.05:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert time.process_time() >= clock() >= 0.05
    assert not [thread for thread in threading.enumerate() if thread.name == "busy"]


def test_a_process_burns_cpu_that_is_not_ours() -> None:
    began = own_seconds()
    with busy("process") as clock:
        wait_burnt(began)
        assert clock() == 0.0


@pytest.mark.parametrize("where", ["thread", "process"])
def test_it_ends_with_the_block_whatever_happened(where: str) -> None:
    with pytest.raises(KeyError), busy(where):
        raise KeyError
    assert not [thread for thread in threading.enumerate() if thread.name == "busy"]


def test_nowhere_is_nothing() -> None:
    with busy("") as clock:
        assert clock() == 0.0
