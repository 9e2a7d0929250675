# SPDX-License-Identifier: MIT
"""Filters, trace, store tree, engine lines, steps, evidence, export and state, without an app."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ui.drive import scene_of
from tests.ui.fake import FakeBackend, house, make_disk
from tests.ui.fake_looks import START, STORE, make_foreign, node, request
from usblkback_tui.engine.inspection import StoreNode
from usblkback_tui.engine.rates import Rates
from usblkback_tui.engine.snapshot import Health, Severity
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.ui.enginelines import OwnCost, cost_lines, engine_lines, figures, thread_rows
from usblkback_tui.ui.evidence import evidence
from usblkback_tui.ui.exporting import as_csv, as_json, file_name
from usblkback_tui.ui.filtering import disk_filter, number
from usblkback_tui.ui.foreign import foreign_view, rates_of_foreign
from usblkback_tui.ui.gototime import wanted_time
from usblkback_tui.ui.recording import other_speed
from usblkback_tui.ui.scene import DiskRow
from usblkback_tui.ui.sequence import sequence_lines, step_lines, steps_of
from usblkback_tui.ui.state import MAX_PRESETS, UiState, load_state, state_path
from usblkback_tui.ui.storetree import StoreTree, node_lines, store_line
from usblkback_tui.ui.text import Line, line_width, plain
from usblkback_tui.ui.tracecolumns import trace_filter
from usblkback_tui.ui.views.base import Sheet


def text(lines: list[Line]) -> list[str]:
    return [plain(line).rstrip() for line in lines]


# -- filter ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("p99>5ms", False),
        ("p99>400us", True),
        ("p99<=412us", True),
        ("reads>=12k", True),
        ("reads>13k", False),
        ("!reads>13k", True),
        ("state:connected", True),
        ("back=Connected", True),
        ("back=Conn", False),
        ("vdev:xvd[ab]", True),
        ("^3", True),
        ("we.-01|db", True),
        ("we(", False),
        ("mode=ro", False),
        ("severity:good", True),
        ("domid=3", True),
        ("domid=4", False),
        ("nonsense>3", False),
        ("qd>p", False),
    ],
)
def test_fields_and_regular_expressions(words: str, expected: bool) -> None:
    row = DiskRow(make_disk(3, "web-01"), Rates(reads=12_345, p99=412_000.0))
    assert disk_filter(words).matches(row) is expected


def test_a_rate_that_was_not_measured_matches_no_comparison() -> None:
    row = DiskRow(make_disk(3, "web-01"), None)
    assert not disk_filter("p99>0").matches(row)
    assert not disk_filter("p99<1s").matches(row)


@pytest.mark.parametrize(
    ("words", "count"),
    [("op=write", 25), ("op=write lat>5ms", 1), ("op=read !indirect=yes lat<5ms", 73), ("status=error", 0), ("", 100)],
)
def test_the_trace_is_filtered(words: str, count: int) -> None:
    rows = [request(seq) for seq in range(1, 101)]
    assert len([row for row in rows if trace_filter(words).matches(row)]) == count


@pytest.mark.parametrize(
    ("words", "value"),
    [("5ms", 5e6), ("1.5k", 1500), ("4KiB", 4096), ("7", 7), ("x", None), ("5 parsecs", None), ("-1s", -1e9)],
)
def test_numbers_with_units(words: str, value: float | None) -> None:
    assert number(words) == value


# -- steps -----------------------------------------------------------------------------------------------------------


def test_a_sequence_says_who_moved_and_what_was_written() -> None:
    disk = make_disk(3, "web")
    lines = text(sequence_lines(disk, 150, 2))
    assert lines[0].split() == ["TIME", "STEP", "FRONTEND", "XENSTORE", "BACKEND"]
    assert len(lines) == steps_of(disk) + 1
    assert lines[3].startswith("▸ ")
    assert "▸ ring-ref=8 event-channel=17 protocol=x86_64-abi state=3" in lines[3]
    assert "◂ feature-persistent=1 feature-flush-cache=1 max-ring-page-order=4 state=2" in lines[2]
    assert lines[2].endswith("● InitWait")


@pytest.mark.parametrize("width", [60, 78, 128])
def test_a_sequence_keeps_to_its_width(width: int) -> None:
    disk = make_disk(3, "web")
    assert all(line_width(line) <= max(width, 72) for line in sequence_lines(disk, width, None))


def test_a_step_in_full_has_the_reason_and_every_key() -> None:
    lines = text(step_lines(make_disk(3, "web"), 2, 100))
    assert lines[0].startswith("step 3 of 5")
    assert "backend: the ring is offered: take it" in lines[1]
    assert any("frontend/ring-ref" in line and line.endswith("= 8") for line in lines)
    assert text(step_lines(make_disk(3, "web"), 99, 100)) == ["Nothing to explain yet."]


# -- store -----------------------------------------------------------------------------------------------------------


def read_all(values: dict[str, str], tree: StoreTree, now: float) -> None:
    found: list[StoreNode] = []
    errors: dict[str, str] = {}
    paths = ["/"]
    while paths:
        path = paths.pop(0)
        try:
            one = node(values, path)
        except UserError as error:
            errors[path] = str(error)
            continue
        found.append(one)
        if path in tree.opened:
            paths += [f"{path if path != '/' else ''}/{name}" for name in one.children]
    tree.take(found, errors, now)


def test_a_tree_opens_and_closes_branches() -> None:
    tree = StoreTree()
    read_all(STORE, tree, 0.0)
    assert [row.path for row in tree.rows(0.0)] == [
        "/",
        "/local",
        "/local/domain",
        "/local/domain/0",
        "/local/domain/3",
        "/vm",
    ]
    tree.open("/local/domain/3/device")
    read_all(STORE, tree, 0.0)
    assert "/local/domain/3/device/vbd" in [row.path for row in tree.rows(0.0)]
    tree.close("/local/domain/3")
    assert "/local/domain/3/device" not in [row.path for row in tree.rows(0.0)]


def test_what_changes_is_lit_for_a_while() -> None:
    tree = StoreTree()
    tree.open("/local/domain/3")
    read_all(STORE, tree, 0.0)
    read_all({**STORE, "/local/domain/3/name": "web-02", "/local/domain/3/new": "1"}, tree, 10.0)
    assert [row.path for row in tree.rows(11.0) if row.lit] == ["/local/domain/3/name", "/local/domain/3/new"]
    assert [row.path for row in tree.rows(20.0) if row.lit] == []


def test_a_filter_keeps_the_way_to_what_it_finds() -> None:
    tree = StoreTree()
    tree.open("/local/domain/3")
    read_all(STORE, tree, 0.0)
    assert [row.path for row in tree.rows(0.0, "web-0.$")] == [
        "/",
        "/local",
        "/local/domain",
        "/local/domain/3",
        "/local/domain/3/name",
    ]
    assert tree.rows(0.0, "(") == []


def test_keys_as_lines_and_in_full() -> None:
    tree = StoreTree()
    tree.open("/local/domain/3")
    read_all({**STORE, "/local/domain/3/evil": "a\x1b[2Jb"}, tree, 0.0)
    rows = {row.path: plain(store_line(row, 80)) for row in tree.rows(0.0)}
    assert rows["/local/domain/3"].startswith("      ▾ 3")
    assert rows["/local/domain/3/name"].rstrip().endswith("web-01")
    assert "\x1b" not in rows["/local/domain/3/evil"]
    assert rows["/vm"].rstrip().endswith("▸ vm  1")
    shown = text(node_lines("/local/domain/3/name", tree.node("/local/domain/3/name"), ""))
    assert shown[:2] == ["path      /local/domain/3/name", "value     web-01"]
    assert text(node_lines("/x", None, "there is no /x"))[1] == "there is no /x"


# -- engine ----------------------------------------------------------------------------------------------------------


def test_threads_have_rates_once_they_were_seen_twice() -> None:
    backend = house()
    first = backend.snapshot()
    backend.advance(10)
    second = backend.snapshot()
    assert {row.cpu_percent for row in thread_rows(None, first)} == {None}
    rows = thread_rows((first, second), second)
    assert [round(row.cpu_percent or 0, 6) for row in rows[:3]] == [1, 2, 3]
    assert [row.wakeups for row in rows[:3]] == [0, 100, 200]
    assert {row.cpu_percent for row in thread_rows((second, second), second)} == {None}
    lines = dict(figures(engine_lines((first, second), second)))
    assert lines["process"].startswith("pid 4000")
    assert lines["grants mapped"].endswith("of 8,192 pages")


def test_own_cost_is_said() -> None:
    lines = dict(figures(cost_lines(OwnCost(tick_ms=1.25, worst_lag_ms=8, painted=42, moments=61))))
    assert lines["tick"].startswith("1.2 ms")
    assert lines["painted"].startswith("42")
    assert lines["past"].startswith("1 min 01 s")


# -- disks of others -------------------------------------------------------------------------------------------------


def test_disks_of_others_are_rows_with_rates() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    backend.foreign = (make_foreign(9, "old"),)
    first = backend.snapshot()
    backend.advance(2)
    second = backend.snapshot()
    rates = rates_of_foreign(first, second)
    assert rates[9, foreign_view(second.foreign[0]).devid].reads == pytest.approx(500)
    rows = scene_of(backend).rows()
    assert [(row.disk.domain, row.foreign) for row in rows] == [("web", False), ("old", True)]
    assert rows[1].disk.kind == "xen-blkback"
    assert disk_filter("kind:blkback").matches(rows[1])


# -- taking things away ----------------------------------------------------------------------------------------------


def test_evidence_is_markdown_that_a_guest_cannot_break() -> None:
    backend = FakeBackend(make_disk(7, "w```in", steps=3, health=Health(Severity.ERROR, "no ring-ref")))
    page = evidence(scene_of(backend, (7, 51712)))
    assert page.startswith("# xvda of w```in\n")
    assert "**no ring-ref** (error)" in page
    assert "Expected next: frontend: write ring-ref" in page
    assert sum(line.strip() == "```" for line in page.splitlines()) % 2 == 0
    assert not any("```" in line and line.strip() != "```" for line in page.splitlines()[1:])
    assert evidence(scene_of(backend)) == ""


def test_csv_is_harmless_in_a_spreadsheet() -> None:
    sheet = Sheet("disks", ("DOM", "X"), [["=cmd()", "-"], ["a,b", "5"]])
    assert as_csv(sheet) == 'DOM,X\n\'=cmd(),-\n"a,b",5\n'


def test_json_has_the_rows_and_the_snapshot() -> None:
    backend = FakeBackend(make_disk(3, "web"))
    data = json.loads(as_json(Sheet("disks", ("DOM",), [["3 web"]]), backend.snapshot()))
    assert data["rows"] == [{"DOM": "3 web"}]
    assert data["snapshot"]["disks"][0]["vdev"] == "xvda"
    assert file_name("disks", "csv", 1_700_000_000.0) == "usblkback-disks-20231114-221320.csv"


# -- state -----------------------------------------------------------------------------------------------------------


def test_state_is_kept_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ui.json"
    state = UiState(path=path, theme="nord", screen="rings", zoom=2, read_only=True)
    state.keep_table("overview", "reads", True, {"image", "mode"})
    state.keep_preset("web.img", {"image": "/srv/web.img", "mode": "w"})
    state.save()
    back = load_state(path)
    assert (back.theme, back.screen, back.zoom, back.read_only) == ("nord", "rings", 2, False)
    assert back.tables["overview"].hidden == ("image", "mode")
    assert back.presets["web.img"]["image"] == "/srv/web.img"
    assert [one.name for one in path.parent.iterdir()] == ["ui.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', '{"format": 1, "theme": 3, "tables": [1]}'])
def test_a_state_that_makes_no_sense_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ui.json"
    path.write_text(content)
    assert load_state(path) == UiState(path=path)


def test_a_state_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    UiState(path=tmp_path / "file" / "ui.json").save()
    UiState().save()


def test_presets_are_bounded_and_the_newest_stays() -> None:
    state = UiState()
    for n in range(2 * MAX_PRESETS):
        state.keep_preset(str(n), {})
    assert len(state.presets) == MAX_PRESETS
    assert str(2 * MAX_PRESETS - 1) in state.presets


def test_where_state_is_kept() -> None:
    assert str(state_path({"HOME": "/home/u"})) == "/home/u/.local/state/usblkback-tui/ui.json"
    assert str(state_path({"HOME": "/home/u", "XDG_STATE_HOME": "/s"})) == "/s/usblkback-tui/ui.json"
    assert state_path({}) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("22:13:05", -15),
        ("22:13", -20),
        (" -90 ", -90),
        ("-5m", -300),
        ("+1H", 3600),
        ("22:14", -86360),
        ("23:00:00", -83600),
    ],
)
def test_a_time_to_go_to(text: str, seconds: int) -> None:
    assert wanted_time(text, START, START) == START + seconds


@pytest.mark.parametrize("text", ["", "soon", "25:00", "12:61", "-", "5", "-5d"])
def test_what_is_no_time_says_what_is(text: str) -> None:
    with pytest.raises(UserError, match="is no time; type 14:03"):
        wanted_time(text, START, START)


def test_speeds() -> None:
    assert [other_speed(1.0, step) for step in (-1, 1)] == [0.5, 2.0]
    assert other_speed(30.0, 1) == 30.0
