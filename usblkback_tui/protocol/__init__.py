# SPDX-License-Identifier: MIT
"""The vbd protocol as values: states, keys, numbers and layouts.  No I/O, no threads, nothing of ours imported."""
