# SPDX-License-Identifier: MIT
"""Heat maps, percentiles and charts with a time cursor, without an app."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ui.fake import FakeBackend, histogram, make_disk
from usblkback_tui.engine.rates import Rates
from usblkback_tui.engine.snapshot import Histogram, Latency
from usblkback_tui.ui import charts
from usblkback_tui.ui.charts import Look
from usblkback_tui.ui.heat import ROWS, Heat, heat_between, row_floor, rows
from usblkback_tui.ui.heatmap import GUTTER, column_text, heat_lines, heat_style
from usblkback_tui.ui.history import Track
from usblkback_tui.ui.percentiles import NARROW, percentile_lines
from usblkback_tui.ui.text import Line, line_width, plain


def text(lines: list[Line]) -> list[str]:
    return [plain(line).rstrip() for line in lines]


def heat(values: dict[int, int]) -> Heat:
    return Heat(read=rows(Histogram(), histogram(values)))


def test_rows_are_powers_of_two_and_nothing_is_lost_at_either_end() -> None:
    counted = rows(Histogram(), histogram({1: 3, 1500: 2, 40_000: 5, 10**12: 7}))
    assert sum(counted) == 17
    assert counted[0] == 5
    assert counted[ROWS - 1] == 7
    assert [row for row in range(1, ROWS - 1) if counted[row]] == [5]
    assert row_floor(5) <= 40_000 < row_floor(6)


def test_only_what_was_counted_in_between_is_in_a_column() -> None:
    backend = FakeBackend(make_disk(3, "web"), make_disk(4, "idle", steps=3))
    backend.advance(1)
    first = backend.snapshot()
    backend.advance(1)
    second = backend.snapshot()
    found = heat_between(first, second)
    assert list(found) == [(3, 51712)]
    reads = second.disks[0].counters.reads - first.disks[0].counters.reads
    assert abs(sum(found[3, 51712].read) - reads) <= 2
    again = replace(second, started=second.started + 1)
    assert heat_between(first, again) == {}


def test_a_histogram_that_begins_anew_counts_as_a_whole() -> None:
    assert sum(rows(histogram({5000: 9}), histogram({5000: 4}))) == 4


def test_a_map_has_a_scale_slow_above_fast_and_the_newest_at_the_right() -> None:
    columns = [heat({40_000: 100}), None, heat({40_000: 1, 9_000_000: 1})]
    lines = text(heat_lines(columns, "both", 1, 40, 12))
    assert len(lines) == 12
    assert lines[-1].strip().endswith("now")
    slow, fast = (next(line for line in lines if line.startswith(label)) for label in (" 8.4ms┤", "  33µs┤"))
    assert slow.endswith("█")
    assert slow.count("█") == 1
    assert fast.endswith("█ █")
    assert lines.index(slow) < lines.index(fast)


@pytest.mark.parametrize("height", [3, 4, 5, 7])
def test_where_there_is_too_little_room_rows_share_a_line_and_nothing_is_left_out(height: int) -> None:
    columns = [heat({1500: 9}), heat({40_000: 9}), heat({9_000_000: 1}), heat({10**12: 1})]
    lines = text(heat_lines(columns, "both", 1, 40, height))
    assert sum(line.count("█") for line in lines) == 4
    assert len(lines) == height


@pytest.mark.parametrize(("width", "height"), [(40, 6), (72, 8), (128, 20), (20, 2)])
def test_a_map_fills_exactly_its_box(width: int, height: int) -> None:
    columns = [heat({1000 * n: n}) for n in range(1, 200)]
    lines = heat_lines(columns, "read", 5, width, height, cursor=3)
    assert len(lines) == height
    assert all(line_width(line) <= width for line in lines)
    assert heat_lines([], "both", 1, width, height)[-1] != ()


def test_operations_are_chosen() -> None:
    both = Heat(read=heat({40_000: 3}).read, write=heat({9_000_000: 2}).read)
    assert column_text(both, "both") == "5 requests, the slowest within 17ms"
    assert column_text(both, "read").startswith("3 requests")
    assert column_text(None, "both") == column_text(Heat(), "write") == "no requests"


def test_a_single_slow_request_is_seen_beside_thousands() -> None:
    assert heat_style(1, 100_000) == "heat0"
    assert heat_style(100_000, 100_000) == "heat7"
    assert heat_style(0, 5) == ""
    assert heat_style(1, 1) == "heat7"


def test_the_cursor_is_a_line_through_the_map() -> None:
    lines = heat_lines([heat({40_000: 3})] * 20, "both", 1, GUTTER + 20, 8, cursor=4)
    at = [plain(line)[GUTTER + 15] for line in lines[:-1] if line]
    assert set(at) <= {"│", "▒"}
    assert "▒" in at


def test_percentiles_side_by_side_or_only_of_late() -> None:
    now = replace(make_disk(3, "web"), latency=Latency(read=histogram({60_000: 990, 250_000_000: 10})))
    before = replace(now, latency=Latency(read=histogram({60_000: 490})))
    wide = text(percentile_lines(now, before, 10, 2 * NARROW + 2))
    assert wide[0].startswith("last 10 s")
    assert wide[0].endswith("since attach")
    read = next(line for line in wide if line.startswith("read"))
    assert read.split()[1] == "510"
    assert "990" in read or "1.0k" in read
    narrow = text(percentile_lines(now, before, 10, NARROW))
    assert len(narrow) == len(wide) - 1
    assert all(len(line) <= NARROW for line in narrow)
    flush = next(line for line in narrow if line.startswith("flush"))
    assert flush.split() == ["flush", *["-"] * 6]


def test_slow_percentiles_are_coloured() -> None:
    disk = replace(make_disk(3, "web"), latency=Latency(read=histogram({300_000_000: 9})))
    read = percentile_lines(disk, None, 0, NARROW)[1]
    assert {style for _, style in read[2:]} == {"error"}


def test_charts_share_a_time_cursor() -> None:
    track = Track()
    for second in range(60):
        track.add(Rates(reads=second, writes=60 - second, queue_depth=second))
    plain_heading = text(charts.iops_lines(track, Look(), 60, 8))[0]
    assert "59" in plain_heading
    there = charts.iops_lines(track, Look(cursor=20), 60, 8)
    assert "39" in plain(there[0])
    assert any(style == "key" for line in there for _, style in line)
    assert "Queue depth  39" in plain(charts.depth_lines(track, Look(cursor=20), 60, 8)[0])
    assert "Queue depth  49" in plain(charts.depth_lines(track, Look(back=10), 60, 8)[0])
