# SPDX-License-Identifier: MIT
"""Each check that keeps a guest in its place is taken out of a copy of the C code, and a test must notice.

The copy is a small project of its own in a temporary folder: these tests, and our package with one C file changed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from usblkback_tui.engine.datapath import _core

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
DATAPATH = Path("usblkback_tui/engine/datapath")
TESTS = Path("tests/engine/datapath")
SOURCES = tuple(sorted(path.name for path in (ROOT / DATAPATH).glob("*.c") if path.name != "_core.c"))
MODULE = Path(_core.__file__).name


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` in ``source`` becomes ``new``; ``test`` must fail then."""

    name: str
    source: str
    old: str
    new: str
    test: str


MUTANTS = [
    Mutant(
        "segment beyond its page",
        "request.c",
        "bits |= last | more;",
        "bits |= more;",
        "test_hostile.py::test_sectors_outside_the_page[copy-x86_64-abi]",
    ),
    Mutant(
        "sum of sectors that wraps",
        "request.c",
        "req->sector <= sectors && req->nr_sectors <= sectors - req->sector",
        "req->sector + req->nr_sectors <= sectors",
        "test_hostile.py::test_discard_beyond_the_end[x86_64-abi]",
    ),
    Mutant(
        "writes to a read-only disk",
        "request.c",
        "\t\treturn vbd->readonly ? USBLK_READONLY : USBLK_VALID;",
        "\t\treturn USBLK_VALID;",
        "test_hostile.py::test_read_only_disk_is_never_written[map-x86_64-abi]",
    ),
    Mutant(
        "discards on a read-only disk",
        "request.c",
        "\t\tif (vbd->readonly)\n\t\t\treturn USBLK_READONLY;\n",
        "",
        "test_hostile.py::test_read_only_disk_is_never_written[map-x86_64-abi]",
    ),
    Mutant(
        "segment that ends before it begins",
        "request.c",
        "bits |= last | more;",
        "bits |= last;",
        "test_hostile.py::test_sectors_outside_the_page[copy-x86_64-abi]",
    ),
    Mutant(
        "more requests than slots",
        "ring.c",
        "(uint32_t)(prod - ring->rsp_prod_pvt) > ring->size",
        "false",
        "test_indices.py::test_req_prod_that_becomes_impossible_while_asleep",
    ),
    Mutant(
        "indirect page fetched again after the check",
        "ring.c",
        "\tcount_barrier(ring, req);\n",
        "\tcount_barrier(ring, req);\n\tif (req->op == BLKIF_OP_INDIRECT) {\n"
        "\t\tusblk_grants_put(ring->grants, req, false);\n"
        "\t\tusblk_grants_fetch_indirect(ring->grants, req);\n"
        "\t\tif (usblk_grants_get(ring->grants, req, req->action != BLKIF_OP_READ))\n"
        "\t\t\treturn answer(ring, req, BLKIF_RSP_ERROR);\n\t}\n",
        "test_double_fetch.py::test_what_is_rewritten_right_after_it_was_fetched_changes_nothing[copy-x86_64-abi]",
    ),
    Mutant(
        "status of a single copy",
        "grants.c",
        "if (grants->copies[i].status)",
        "if (false)",
        "test_grants.py::test_every_copy_has_its_own_status",
    ),
    Mutant(
        "pages of a request that failed halfway",
        "grants.c",
        "\t\t\tcache_release_all(grants, req);\n\t\t\treturn -1;",
        "\t\t\treturn -1;",
        "test_grants.py::test_unreachable_page_at_element_k[persistent-1-not granted]",
    ),
    Mutant(
        "padding of a response",
        "ring.c",
        "uint8_t rsp[16] = { 0 };",
        "uint8_t rsp[16];\n\tmemset(rsp, 0xa5, sizeof(rsp));",
        "test_hostile.py::test_response_leaks_nothing[map-x86_64-abi]",
    ),
    Mutant(
        "look at the ring after asking for an event",
        "ring.c",
        "return read_req_prod(ring) != ring->req_cons;",
        "return false;",
        "test_events.py::test_request_that_slips_in_before_the_arming_is_seen",
    ),
    Mutant(
        "writes after a failed flush",
        "ring.c",
        "usblk_vbd_poisoned(ring->vbd) && req->action",
        "false && req->action",
        "test_image_failures.py::test_failed_flush_poisons[sync-map-0-3]",
    ),
    Mutant(
        "a barrier that is not alone",
        "ring.c",
        "if (must_be_alone(req) && ring->nr_free + 1 != ring->nr_reqs)",
        "if (false)",
        "test_under_way.py::test_an_empty_barrier_waits_too_and_an_empty_flush_does_not",
    ),
    Mutant(
        "requests that pass a barrier",
        "ring.c",
        "return ring->nr_free && !ring->alone && ",
        "return ring->nr_free && ",
        "test_under_way.py::test_what_must_be_alone_waits_for_all_and_all_wait_for_it[copy-2]",
    ),
    Mutant(
        "a barrier behind a failed flush",
        "ring.c",
        "\t\tif (usblk_vbd_poisoned(ring->vbd)) {",
        "\t\tif (false) {",
        "test_under_way.py::test_a_barrier_that_waited_for_a_failed_flush_writes_nothing",
    ),
    Mutant(
        "pages under way",
        "ring.c",
        " && ring->segs_under_way < SEGMENTS_UNDER_WAY",
        "",
        "test_under_way.py::test_pages_under_way_are_bounded",
    ),
    Mutant(
        "pages a ring keeps",
        "grants.c",
        "grants->nr_kept < grants->max_kept && usblk_budget_take",
        "usblk_budget_take",
        "test_grants.py::test_budget_is_kept_between_requests[11]",
    ),
    Mutant(
        "a page that left is not given back to the budget",
        "grants.c",
        "\t\tgrants->nr_kept--;\n\t\tusblk_budget_give(grants->budget);\n",
        "\t\tgrants->nr_kept--;\n",
        "test_kept_pages.py::test_a_full_budget_lets_a_ring_change_what_it_keeps",
    ),
    Mutant(
        "the budget of all rings",
        "vbd.c",
        "\t\tif (used >= budget->limit)\n\t\t\treturn false;\n",
        "",
        "test_kept_pages.py::test_what_a_ring_keeps_nobody_else_can",
    ),
    Mutant(
        "one mapping of a page at a time",
        "grants.c",
        "(config->grant_mode == USBLK_GRANT_MAP && config->single_map)",
        "false",
        "test_kept_pages.py::test_single_map_maps_no_reference_twice_at_a_time[sync]",
    ),
    Mutant(
        "a guard that guards more than what is copied",
        "guard.c",
        "at >= guard.from && at < guard.to",
        "true",
        "test_guard.py::test_only_what_is_copied_from_is_guarded",
    ),
    Mutant(
        "short reads",
        "io_uring.c",
        "(uint64_t)result == length",
        "result >= 0",
        "test_image_failures.py::test_file_truncated_under_us[io_uring-copy-5]",
    ),
    Mutant(
        "a secure discard that was not offered",
        "request.c",
        " || ((req->discard_flags & BLKIF_DISCARD_SECURE) && !vbd->secure_discard)",
        "",
        "test_hostile.py::test_discards_that_were_not_offered",
    ),
    Mutant(
        "a secure discard that is an ordinary one",
        "io_sync.c",
        "if (req->discard_flags & BLKIF_DISCARD_SECURE)",
        "if (false)",
        "test_calls.py::test_a_secure_discard_is_all_of_it",
    ),
    Mutant(
        "where the first piece of a discard begins",
        "io_sync.c",
        "shift = vbd->config.discard_alignment % piece;",
        "shift = 0;",
        "test_calls.py::test_of_a_block_device_only_whole_pieces_are_discarded[4096-512-SYNC]",
    ),
    Mutant(
        "a barrier's flush before it",
        "io_sync.c",
        " and it is durable before it is answered */\n\t\terror = flush(fd);\n",
        " */\n",
        "test_calls.py::test_a_barrier_is_between_two_flushes_and_a_flush_with_data_behind_one[IO_URING]",
    ),
]


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(cwd),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


class Workshop:
    """A copy of the project whose data path is linked anew for each mutant."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        skip = shutil.ignore_patterns("__pycache__", "*.o", "ui", "cli")
        shutil.copytree(ROOT / "usblkback_tui", folder / "usblkback_tui", ignore=skip)
        shutil.copytree(ROOT / TESTS, folder / TESTS, ignore=skip)
        (folder / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
        self._compiler = [*shlex.split(os.environ.get("CC", "gcc")), "-std=gnu11", "-O1", "-fPIC"]
        self._compiler += [f"-I{sysconfig.get_path('include')}", f"-I{folder / DATAPATH}"]
        generate = (
            "import runpy; runpy.run_path('usblkback_tui/engine/datapath/build.py')"
            f"['ffibuilder'].emit_c_code('{DATAPATH / '_core.c'}')"
        )
        self._must(sys.executable, "-c", generate)
        for source in ("_core.c", *SOURCES):
            self._compile(source)

    def _must(self, *command: str | Path) -> None:
        done = _run(*command, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr

    def _compile(self, source: str) -> None:
        path = self.folder / DATAPATH / source
        self._must(*self._compiler, "-c", path, "-o", path.with_suffix(".o"))

    def link(self) -> None:
        objects = [self.folder / DATAPATH / f"{Path(source).stem}.o" for source in ("_core.c", *SOURCES)]
        module = self.folder / DATAPATH / MODULE
        module.unlink(missing_ok=True)
        self._must(self._compiler[0], "-shared", *objects, "-o", module)

    def change(self, source: str, old: str, new: str) -> None:
        path = self.folder / DATAPATH / source
        text = path.read_text()
        assert text.count(old) >= 1, f"{source} no longer has: {old}"
        path.write_text(text.replace(old, new))
        self._compile(source)

    def test(self, *names: str) -> subprocess.CompletedProcess[str]:
        paths = [str(TESTS / name) for name in names]
        return _run(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *paths, cwd=self.folder)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("mutants"))


def test_the_tests_pass_in_the_copy(workshop: Workshop) -> None:
    workshop.link()
    done = workshop.test(*dict.fromkeys(mutant.test for mutant in MUTANTS))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_missing_check_is_noticed(workshop: Workshop, mutant: Mutant) -> None:
    workshop.change(mutant.source, mutant.old, mutant.new)
    try:
        workshop.link()
        done = workshop.test(mutant.test)
    finally:
        shutil.copy(ROOT / DATAPATH / mutant.source, workshop.folder / DATAPATH / mutant.source)
        workshop._compile(mutant.source)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "AssertionError" in done.stdout, done.stdout
