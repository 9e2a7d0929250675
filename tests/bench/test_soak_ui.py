# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.soak_ui import soaked


def test_growth_is_that_of_the_second_half() -> None:
    filling = [(float(s), 60.0 + s / 180) for s in range(0, 1800, 2)]
    full = [(float(s), 70.0) for s in range(1800, 3600, 2)]
    soak = soaked([*filling, *full], 8)
    assert (soak.end, soak.verdict) == (70.0, "met")
    assert soak.start == pytest.approx(60.5, abs=0.6)
    assert abs(soak.growth) < 1.0
    assert soak.whole_growth == pytest.approx(10.0, abs=1.0)


def test_a_leak_misses_the_target_and_a_short_run_has_no_verdict() -> None:
    leak = [(float(s), 60.0 + s / 360) for s in range(0, 3600, 2)]
    assert soaked(leak, 8).growth == pytest.approx(10.0)
    assert soaked(leak, 8).verdict == "missed"
    assert soaked(leak[:300], 8).verdict == ""
    with pytest.raises(BenchmarkError, match="take more --minutes"):
        soaked(leak[:9], 8)
