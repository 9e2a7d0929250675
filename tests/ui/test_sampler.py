# SPDX-License-Identifier: MIT
"""What the sampler hands to the event loop."""

from __future__ import annotations

import queue
from collections.abc import Iterator

from tests.ui.fake import FakeBackend, make_disk
from usblkback_tui.engine.snapshot import Snapshot
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.model import Model
from usblkback_tui.ui.sampler import Sample, Sampler

KEY = (3, 51712)


def samples(backend: FakeBackend, past: list[Snapshot], problem: bool = False) -> list[Sample]:
    """The first two of a backend that has a past, and the one after a second."""
    found: queue.Queue[Sample] = queue.Queue()

    def before(until: Snapshot, seconds: float) -> Iterator[Snapshot]:
        yield from past
        if problem:
            raise UserError("part 3 is damaged")

    sampler = Sampler(backend, found.put, lambda snapshot: None, before)
    sampler.start()
    taken = []
    for wait in (0.0, 0.25, 1.0):
        backend.advance(wait)
        while not sampler.ask():
            pass
        taken.append(found.get(timeout=60))
    sampler.stop()
    return taken


def worked(seconds: int) -> tuple[FakeBackend, list[Snapshot]]:
    backend = FakeBackend(make_disk(3, "web"))
    past = []
    for _ in range(seconds):
        past.append(backend.snapshot())
        backend.advance(1.0)
    return backend, past


def test_the_past_comes_with_the_second_sample_and_fills_the_history() -> None:
    backend, past = worked(30)
    first, second, third = samples(backend, past)
    assert first.snapshot is not None
    assert first.past == ()
    assert second.rates is None
    assert len(second.past) == 30
    assert second.past[-1].snapshot == second.snapshot
    assert third.past == ()
    assert third.rates
    model = Model()
    for sample in (first, second, third):
        model.take(sample)
    reads = model.history.track(KEY).reads.last(100)
    assert len(reads) == 31
    assert min(reads) > 0
    assert model.window is not None


def test_a_past_that_cannot_be_read_to_its_end_is_a_shorter_one() -> None:
    backend, past = worked(5)
    first, second, _ = samples(backend, past, problem=True)
    assert (first.error, second.error) == ("", "")
    assert len(second.past) == 5
    backend, _ = worked(5)
    _, second, third = samples(backend, [], problem=True)
    assert second.past == ()
    assert third.rates
