# SPDX-License-Identifier: MIT
"""What is offered fits what a host can map, and no setting is cut without need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from usblkback_tui.engine.host.seam import Caps
from usblkback_tui.engine.offering import LEAST_PAGES, limits_of, pages_needed
from usblkback_tui.engine.settings import EngineSettings
from usblkback_tui.engine.snapshot import Limits

SETTINGS = EngineSettings(max_queues=4)
XEN = Caps("xen")


def test_a_host_without_limits_is_offered_what_the_settings_say() -> None:
    assert limits_of(SETTINGS, XEN) == Limits(queues=4, ring_pages=16, segments=256, persistent_pages=4224)


def test_without_persistent_grants_nothing_is_kept() -> None:
    assert limits_of(replace(SETTINGS, persistent_grants=False), XEN).persistent_pages == 0


def test_a_host_that_maps_a_page_once_has_one_queue() -> None:
    assert limits_of(SETTINGS, replace(XEN, single_map=True)).queues == 1


def test_the_smallest_disk() -> None:
    assert pages_needed(Limits()) == LEAST_PAGES == 1 + 32 * 11
    assert pages_needed(Limits(segments=513)) == 1 + 32 * (513 + 2)


@pytest.mark.parametrize("pages", [1, LEAST_PAGES, 512, 2048, 8192, 16384, 65536, 1 << 20])
@pytest.mark.parametrize("disks", [1, 8, 64])
@pytest.mark.parametrize("single", [True, False])
def test_all_disks_fit_beside_each_other(pages: int, disks: int, single: bool) -> None:
    caps = replace(XEN, max_grant_pages=pages, single_map=single)
    limits = limits_of(replace(SETTINGS, max_disks=disks), caps)
    share = max(pages // disks, LEAST_PAGES)
    assert pages_needed(limits) <= share
    assert limits.persistent_pages + limits.queues * limits.ring_pages <= share
    assert limits.segments == 0 or limits.segments >= 12
    assert limits.ring_pages in (1, 2, 4, 8, 16)


def test_requests_are_cut_after_queues_and_rings() -> None:
    caps = replace(XEN, max_grant_pages=16384)
    limits = limits_of(replace(SETTINGS, max_disks=1), caps)
    assert (limits.ring_pages, limits.queues, limits.segments) == (1, 1, 256)
    assert limits_of(replace(SETTINGS, max_disks=4), caps).segments == 64
