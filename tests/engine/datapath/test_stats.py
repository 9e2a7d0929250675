# SPDX-License-Identifier: MIT
"""Counters, histograms and the trace: what they say is what happened, also while it happens."""

from __future__ import annotations

import ctypes
import itertools
import os
import shlex
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.datapath.conftest import Serve
from tests.engine.datapath.frontend import whole
from tests.engine.datapath.layouts import Segment
from usblkback_tui.engine import datapath
from usblkback_tui.engine.datapath.ring import GrantMode
from usblkback_tui.engine.latency import BUCKETS, bucket_floor, bucket_of
from usblkback_tui.protocol.blkif import PAGE, Op, Status

TRACE_SIZE = 1024


@pytest.fixture(scope="session")
def bucket_in_c(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """stats.h's own arithmetic, as a function."""
    folder = tmp_path_factory.mktemp("bucket")
    source, library = folder / "bucket.c", folder / "bucket.so"
    source.write_text(
        '#include "stats.h"\nunsigned int bucket(uint64_t ns);\n'
        "unsigned int bucket(uint64_t ns) { return latency_bucket(ns); }\n"
    )
    headers = Path(datapath.__file__).parent
    compiler = shlex.split(os.environ.get("CC", "gcc"))
    clean = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [*compiler, "-std=gnu11", "-shared", "-fPIC", f"-I{headers}", "-o", str(library), str(source)]
    subprocess.run(command, check=True, env=clean)
    function = ctypes.CDLL(str(library)).bucket
    function.argtypes, function.restype = [ctypes.c_uint64], ctypes.c_uint
    return function


@given(value=st.integers(0, 2**64 - 1) | st.integers(0, 2**20) | st.integers(0, 63).map(lambda bit: 1 << bit))
def test_buckets_are_the_same_in_c_and_python(bucket_in_c: Any, value: int) -> None:
    for near in (value, max(value - 1, 0), min(value + 1, 2**64 - 1)):
        assert bucket_in_c(near) == bucket_of(near)


def test_every_bucket_begins_where_python_says(bucket_in_c: Any) -> None:
    for index in range(1, BUCKETS):
        floor = bucket_floor(index)
        assert (bucket_in_c(floor - 1), bucket_in_c(floor)) == (index - 1, index)


def test_histograms_count_what_the_trace_saw(serve: Serve, mode: GrantMode) -> None:
    s = serve(mode, discard=True)
    layout, pages = s.front.layout, whole(s.front.pages(bytes(3 * PAGE)))
    kinds = {
        "read": [layout.rw(Op.READ, 1, 0, pages)] * 30,
        "write": [layout.rw(Op.WRITE, 1, 0, pages)] * 20 + [layout.rw(Op.WRITE_BARRIER, 1, 0, pages)],
        "flush": [layout.rw(Op.FLUSH_DISKCACHE, 1, 0), layout.rw(Op.WRITE_BARRIER, 1, 0)],
        "discard": [layout.discard(1, 8, 8)] * 10,
    }
    bad = [layout.rw(Op.READ, 1, 2**40, pages)] * 5
    for name, requests in kinds.items():
        after = s.server.trace()[-1].seq if s.server.trace() else 0
        s.front.do(*requests, *bad)
        good = [e for e in s.server.trace(after) if e.status == 0]
        assert len(good) == len(requests)
        expected = Counter(bucket_of(e.latency_ns) for e in good)
        counts = getattr(s.server.latency(), name).counts
        assert {i: n for i, n in enumerate(counts) if n} == expected
    c = s.counters
    assert (c.reads, c.writes, c.flushes, c.discards, c.errors, c.responses) == (30, 21, 2, 10, 20, 83)
    assert (c.bytes_read, c.bytes_written, c.bytes_discarded) == (30 * 3 * PAGE, 21 * 3 * PAGE, 10 * PAGE)


def test_in_flight_is_what_is_asked_and_not_answered(serve: Serve) -> None:
    s = serve(running=False)
    s.front.push(*[s.front.layout.rw(Op.READ, 1, 0, whole([s.front.page()]))] * 9)
    counters, indices = s.server.counters_now()
    assert (counters.in_flight, indices.req_prod, indices.req_cons, indices.rsp_prod, indices.slots) == (9, 9, 0, 0, 32)
    s.start()
    s.front.collect(9)
    counters, indices = s.server.counters_now()
    assert (counters.in_flight, indices.req_prod, indices.req_cons, indices.rsp_prod) == (0, 9, 9, 9)


def test_trace_tells_each_request(serve: Serve) -> None:
    s = serve(discard=True)
    layout, page = s.front.layout, s.front.page()
    began = time.monotonic_ns()
    s.front.do(
        layout.rw(Op.READ, 2**64 - 1, 8, [Segment(page.ref, 2, 4)]),
        layout.rw(Op.WRITE_BARRIER, 2, 16, whole([page] * 2)),
        layout.discard(3, 24, 40),
        s.front.indirect(Op.WRITE, 4, 32, whole([page] * 12)),
        layout.rw(9, 5, 40),
        layout.rw(Op.READ, 6, 2**63, whole([page])),
    )
    entries = s.server.trace()
    assert [(e.seq, e.id, e.op, e.sector, e.sectors, e.segments, e.status, e.indirect) for e in entries] == [
        (1, 2**64 - 1, Op.READ, 8, 3, 1, 0, False),
        (2, 2, Op.WRITE_BARRIER, 16, 16, 2, 0, False),
        (3, 3, Op.DISCARD, 24, 40, 0, 0, False),
        (4, 4, Op.WRITE, 32, 96, 12, 0, True),
        (5, 5, 9, 40, 0, 0, Status.ERROR, False),
        (6, 6, Op.READ, 2**63, 8, 1, Status.ERROR, False),
    ]
    times = [e.time_ns for e in entries]
    assert began <= times[0] <= times[-1] <= time.monotonic_ns()
    assert times == sorted(times)
    assert all(0 < e.latency_ns < times[-1] - began + 1 for e in entries)


def test_trace_keeps_the_last_ones(serve: Serve) -> None:
    s = serve()
    page = s.front.page()
    s.front.do(*(s.front.layout.rw(Op.READ, i, 0, whole([page])) for i in range(1, TRACE_SIZE + 301)))
    newest = TRACE_SIZE + 300

    def seqs(after: int = 0, limit: int = TRACE_SIZE) -> list[int]:
        entries = s.server.trace(after, limit)
        assert all(e.id == e.seq for e in entries)
        return [e.seq for e in entries]

    assert seqs() == list(range(301, newest + 1)), "bounded, oldest first, without holes"
    assert seqs(newest - 5) == list(range(newest - 4, newest + 1))
    assert seqs(0, 3) == [newest - 2, newest - 1, newest], "the latest when there are more than asked for"
    assert seqs(newest) == seqs(newest + 1) == seqs(2**64 - 1) == seqs(newest - 5, 0) == []


def test_trace_is_never_torn(serve: Serve) -> None:
    """A reader that goes round the whole ring while it is written; every field is a function of the id."""
    s = serve(ring_pages=8, sectors=1 << 40)
    page = s.front.page()
    over = threading.Event()
    seen = 0
    wrong: list[Any] = []

    def look() -> None:
        nonlocal seen
        while not over.is_set():
            entries = s.server.trace()
            wrong.extend(e for e in entries if e.sector != e.id * 3 or e.seq != e.id or e.status != Status.ERROR)
            wrong.extend(pair for pair in itertools.pairwise(entries) if pair[0].seq >= pair[1].seq)
            seen += len(entries)

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    # one request in two pages: refused after its sectors were counted, so the answers follow each other fast
    requests = [
        s.front.layout.rw(Op.READ, i, i * 3, [Segment(page.ref), Segment(page.ref, 9, 9)]) for i in range(1, 8193)
    ]
    s.front.do(*requests)
    over.set()
    reader.join(10)
    assert not wrong
    assert seen > TRACE_SIZE
