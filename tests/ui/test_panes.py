# SPDX-License-Identifier: MIT
"""The pure parts of the panes: charts, detail, log, tree, bars, filter and report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ui.drive import scene_of
from tests.ui.fake import house, make_disk
from tests.ui.fake_looks import START
from usblkback_tui.engine.rates import Rates
from usblkback_tui.engine.snapshot import Counters, Event, Health, RingView, Severity, StateChange
from usblkback_tui.protocol.states import XenbusState as S
from usblkback_tui.ui import charts
from usblkback_tui.ui.actions import Registry
from usblkback_tui.ui.bars import footer_choice, header_line, tabs_line
from usblkback_tui.ui.charts import Look
from usblkback_tui.ui.columns import COLUMNS
from usblkback_tui.ui.detail import detail_lines, ring_bar
from usblkback_tui.ui.eventlog import event_line
from usblkback_tui.ui.filtering import disk_filter
from usblkback_tui.ui.history import Track
from usblkback_tui.ui.logsearch import marked, matching, step
from usblkback_tui.ui.main import TITLES
from usblkback_tui.ui.scene import DiskRow
from usblkback_tui.ui.text import Line, line_width, plain
from usblkback_tui.ui.tree import tree_nodes


def text(lines: list[Line]) -> list[str]:
    return [plain(line).rstrip() for line in lines]


# -- charts ----------------------------------------------------------------------------------------------------------


def track(*reads: float, writes: float = 0.0) -> Track:
    result = Track()
    for value in reads:
        result.add(Rates(reads=value, writes=writes, read_bytes=value * 4096, written_bytes=writes * 4096))
    return result


def test_a_chart_has_a_heading_a_scale_and_a_time_axis() -> None:
    lines = text(charts.iops_lines(track(0, 500, 1000, writes=500), Look(), 56, 8))
    assert lines[0] == " IOPS  ▲ read 1.0k     ▼ write 500"
    assert lines[1].startswith(" 1.0k┤")
    assert lines[3].startswith("    0┤")
    assert lines[6].startswith(" 1.0k┤")
    assert lines[1].endswith("⢸")
    assert lines[7].startswith("     └-100 s")
    assert lines[7].endswith("now")


def test_a_chart_without_a_past_says_so_with_dashes() -> None:
    lines = text(charts.throughput_lines(Track(), Look(2), 56, 8))
    assert lines[0] == " Throughput  ▲ read -        ▼ write -"
    assert lines[7].startswith("     └-25 min")


@pytest.mark.parametrize(("width", "height"), [(20, 4), (39, 9), (52, 11), (80, 3)])
def test_charts_fill_exactly_their_box(width: int, height: int) -> None:
    for lines in (
        charts.iops_lines(track(*range(300), writes=5), Look(), width, height),
        charts.throughput_lines(track(*range(300)), Look(1), width, height),
        charts.depth_lines(track(*range(300)), Look(1, back=5, cursor=9), width, height),
    ):
        assert len(lines) == max(height, 4)
        assert all(line_width(line) == width for line in lines[1:])


# -- detail ----------------------------------------------------------------------------------------------------------


def ring(**changes: int) -> RingView:
    base = RingView(0, 32, 1, "x86_64-abi", "persistent", "pread/pwrite", 17)
    return replace(base, req_prod=112, req_cons=110, rsp_prod=104, **changes)  # type: ignore[arg-type]


def test_detail_shows_indexes_grants_notifications_and_engine() -> None:
    counters = Counters(
        notifies_sent=25, notifies_suppressed=75, grants_mapped=412, maps=500, unmaps=88, wakeups=50, responses=400
    )
    disk = replace(make_disk(3, "web", since=START), rings=(replace(ring(), counters=counters),))
    shown = "\n".join(text(detail_lines(disk, Rates(p50=63_000.0, p99=870_000.0), 60)))
    for expected in (
        "image     /srv/images/web-xvda.img",
        "size      64 MiB  131,072 sectors",
        "frontend  4 Connected",
        "Ring 0    x86_64-abi  persistent grants",
        "■ 6 in service  ■ 2 unread",
        "requests  prod 112        cons 110",
        "event channel 17  1 page, 32 slots",
        "grants    412 mapped  500 maps  88 unmaps",
        "notifies  25 sent  75 % suppressed",
        "wake-ups  50  8.0 requests each",
        "engine    pread/pwrite",
        "latency   p50 63µs  p99 870µs",
    ):
        assert expected in shown


def test_detail_of_errors_says_which() -> None:
    disk = replace(make_disk(3, "web"), counters=Counters(errors=7, bad_requests=4, map_errors=3))
    shown = "\n".join(text(detail_lines(disk, None, 60)))
    assert "7  4 bad requests, 3 grant errors" in shown


def test_ring_indexes_that_wrapped_and_that_lie() -> None:
    wrapped = replace(ring(), req_prod=3, req_cons=1, rsp_prod=0xFFFF_FFFE)
    disk = replace(make_disk(3, "web"), rings=(wrapped,))
    shown = "\n".join(text(detail_lines(disk, None, 60)))
    assert "■ 3 in service  ■ 2 unread" in shown
    assert " 5/32" in shown
    hostile = replace(disk, rings=(replace(ring(), req_prod=0xFFFF_0000),))
    lines = detail_lines(hostile, None, 60)
    assert "broken" in "\n".join(text(lines))
    assert all(line_width(line) <= 62 for line in lines)


def test_ring_bar_shows_every_part_that_is_not_empty() -> None:
    assert plain(ring_bar(0, 0, 32, 8)) == "░░░░░░░░"
    assert plain(ring_bar(1, 1, 1024, 8)) == "██░░░░░░"
    assert [style for bar, style in ring_bar(16, 16, 32, 8) if bar] == ["write", "read"]


# -- log -------------------------------------------------------------------------------------------------------------


def test_event_lines() -> None:
    change = StateChange(START, "frontend", S.INITIALISED, S.CONNECTED)
    state = Event(1, START, Severity.INFO, "", "state", 3, 51712, "xvda", change)
    assert plain(event_line(state, "web")) == ("22:13:20.000  info    web xvda      frontend  Initialised → Connected")
    error = Event(2, START, Severity.ERROR, "image\x1b[31m failed", domid=3, vdev="xvda")
    assert plain(event_line(error)) == "22:13:20.000  error   domain 3 xv…  image·[31m failed"


LOG = [((f"12:00:0{n} ", "muted"), (text, "")) for n, text in enumerate(["a disk", "b", "two disks", "c", "DISK"])]


def test_the_log_is_searched_with_a_regular_expression() -> None:
    assert matching(LOG, "disk") == [0, 2, 4]
    assert matching(LOG, r"disks?$") == [0, 2, 4]
    assert matching(LOG, "(") == matching(LOG, "") == []
    marks = marked(LOG[2], "00:02 tw")
    assert plain(marks) == plain(LOG[2])
    assert [text for text, style in marks if style == "found"] == ["00:02 ", "tw"]
    assert marked(LOG[1], "disk") is LOG[1]
    assert marked(LOG[1], "x*") is LOG[1]


def test_searching_goes_from_match_to_match_and_around() -> None:
    matches = [0, 2, 4]
    assert step(matches, None, 0) == step(matches, None, 1) == 4
    assert [step(matches, at, 1) for at in (0, 1, 4)] == [2, 2, 0]
    assert [step(matches, at, -1) for at in (4, 3, 0)] == [2, 2, 4]
    assert step([], 3, 1) is None


# -- tree ------------------------------------------------------------------------------------------------------------


def test_tree_has_our_own_domain_apart_and_domains_without_disks() -> None:
    nodes = tree_nodes(scene_of(house()))
    assert text([node.line for node in nodes]) == [
        "◆ 0 Domain-0  here",
        "▾ 3 web-01  2 disks",
        "  ├─ ● xvda  Connected",
        "  └─ ● xvdb  Connected",
        "▾ 5 db-02  1 disk",
        "  └─ ● xvda  Connected",
        "▾ 7 win-09  1 disk",
        "  └─ ✖ xvda  InitWait",
        "▾ 8 test  1 disk",
        "  └─ ▲ xvdc  Connected",
        "  9 spare  no disk",
    ]


def test_a_disk_of_a_domain_nobody_lists_keeps_its_place() -> None:
    backend = house()
    backend.domains = ()
    nodes = tree_nodes(scene_of(backend))
    assert text([nodes[0].line, nodes[1].line]) == ["◆ 0 this domain  here", "▾ 3 web-01  2 disks"]


# -- bars ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_the_header_fits_and_keeps_problems_and_time(width: int) -> None:
    scene = replace(scene_of(house()), live=False, frozen=True, behind=12.0)
    line = header_line("usblkback", scene, width)
    assert line_width(line) <= width
    assert " FROZEN −12 s " in plain(line)
    assert "▲ 2 problems" in plain(line)
    assert plain(line).endswith("22:13:20 ")


def test_the_header_says_that_this_is_the_past_read_only_or_recorded() -> None:
    scene = replace(scene_of(house()), live=False, behind=75.0)
    line = plain(header_line("usblkback", scene, 160, recording="00:12", read_only=True))
    assert " PAST −1 min 15 s " in line
    assert "● REC 00:12" in line
    assert "READ-ONLY" in line


def test_the_header_before_the_first_snapshot() -> None:
    assert "waiting for the first snapshot" in plain(header_line("usblkback", None, 80))


def test_the_footer_keeps_help_and_quit_when_there_is_little_room() -> None:
    actions = Registry().footer("overview")
    assert [action.name for action in footer_choice(actions, 36)] == ["attach", "help", "quit"]
    assert sum(len(a.keycap) + len(a.label) + 4 for a in footer_choice(actions, 80)) <= 80
    assert len(footer_choice(actions, 500)) == len(actions)


def test_the_footer_is_that_of_the_screen_and_of_what_may_be_done() -> None:
    assert "step(1)" in [action.name for action in Registry().footer("handshake")]
    assert "step(1)" not in [action.name for action in Registry().footer("overview")]
    assert not any(action.changes for action in Registry().footer("store", read_only=True))


def test_tabs_mark_the_current_screen_with_more_than_colour() -> None:
    assert plain(tabs_line(TITLES, "rings", 80)) == (
        " 1 Overview 2 Handshake 3▸Rings 4 Latency 5 Xenstore 6 Trace 7 Engine"
    )
    assert plain(tabs_line(TITLES, "rings", 120)).startswith(" 1 Overview   2 Handshake   3▸Rings  ")


# -- filter ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", True),
        ("WEB", True),
        ("xvda connected", True),
        ("!web", False),
        ("!db", True),
        ("dom:3", True),
        ("dom:33", False),
        ("dom:we", True),
        ("dom:xvda", False),
        ("!dom:3", False),
        ("iso", False),
        ("!", True),
    ],
)
def test_filter(words: str, expected: bool) -> None:
    row = DiskRow(make_disk(3, "web"), None)
    assert disk_filter(words).matches(row) is expected


# -- columns ---------------------------------------------------------------------------------------------------------


def cells(row: DiskRow) -> dict[str, str]:
    return {column.title: column.cell(row)[0] for column in COLUMNS}


def test_cells_of_a_busy_disk() -> None:
    disk = replace(make_disk(3, "web", mode="r"), counters=Counters(in_flight=7, errors=2))
    row = cells(DiskRow(disk, Rates(reads=12_345, writes=0, read_bytes=50_600_000, p99=412_000.0)))
    assert row == {
        "DOM": "3 web",
        "VDEV": "xvda",
        "IMAGE": "web-xvda.img",
        "MODE": "ro",
        "BY": "usblkback",
        "SIZE": "64 MiB",
        "FRONT": "Connected",
        "BACK": "Connected",
        "RINGS": "1",
        "r/s": "12.3k",
        "w/s": "0",
        "MB/s": "50.6",
        "QD": "7",
        "p50": "-",
        "p99": "412µs",
        "ERR": "2",
        "HEALTH": "● ok",
    }


def test_cells_of_a_disk_without_rates_and_with_a_hostile_name() -> None:
    disk = make_disk(3, "w\x1b]0;x\x07", steps=3, health=Health(Severity.WARNING, "waits\nfor the guest"))
    row = cells(DiskRow(disk, None))
    assert row["DOM"] == "3 w·]0;x·"
    assert (row["r/s"], row["MB/s"], row["p99"], row["RINGS"]) == ("-", "-", "-", "-")
    assert row["HEALTH"] == "▲ waits·for the guest"
