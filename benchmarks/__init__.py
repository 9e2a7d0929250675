# SPDX-License-Identifier: MIT
"""Measurements of the backend and of its screen, side by side with peers: ``python -m benchmarks --help``."""
