# SPDX-License-Identifier: MIT
"""Fixtures of the real-Xen tests: the lab, a fresh machine per test, its guests, and evidence when a test fails."""

import faulthandler
import os
import re
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from .lab import states
from .lab.cache import cache_root, say
from .lab.dom0 import Dom0
from .lab.guest import Guest
from .lab.host import LabUnavailable, prepare_host
from .lab.machine import Machine
from .lab.recipes import build_all

HERE = Path(__file__).parent
# For one test; pytest-timeout counts fixtures too, and the first test may have to build the lab from nothing.
TEST_LIMIT = 600
KEPT_FAILURES = 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_LIMIT))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Collect the evidence of a failed test while its machine still runs."""
    report = yield
    dom0 = getattr(item, "funcargs", {}).get("dom0")
    if report.failed and report.when != "teardown" and isinstance(dom0, Dom0):
        folder = _failure_folder(item.name)
        dom0.save_evidence(folder)
        report.sections.append(("real-Xen evidence", f"logs of this machine: {folder}"))
    return report


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Path:
    """The frozen machine that tests start from, built if it is missing; its folder."""
    faulthandler.cancel_dump_traceback_later()  # building is slow, not hung
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # building takes minutes: say so while it happens
        try:
            prepare_host()
        except LabUnavailable as reason:
            if os.environ.get("CI") == "true":
                raise
            say(f"SKIPPED: {reason}")
            pytest.skip(str(reason))
        build_all()
        return states.staged().get()


@pytest.fixture
def dom0(lab: Path) -> Iterator[Dom0]:
    """dom0 of a fresh machine: xenstored and xenconsoled run, so do the guests g1 and g2, the project is installed."""
    with Machine.restore(lab) as machine:
        yield Dom0(machine)


@pytest.fixture
def g1(dom0: Dom0) -> Guest:
    """A running diskless PV guest with one processor."""
    return dom0.guest("g1")


@pytest.fixture
def g2(dom0: Dom0) -> Guest:
    """A running diskless PV guest with two processors."""
    return dom0.guest("g2")


def _failure_folder(test: str) -> Path:
    failures = cache_root() / "failures"
    folder = failures / f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', test)}"
    folder.mkdir(parents=True)
    for old in sorted(failures.iterdir())[:-KEPT_FAILURES]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    return folder
