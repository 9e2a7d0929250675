# SPDX-License-Identifier: MIT
"""Why a benchmark cannot run."""

from __future__ import annotations


class BenchmarkError(Exception):
    """One sentence for people: what is wrong, and what to do."""
