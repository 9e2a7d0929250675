# SPDX-License-Identifier: MIT
"""The inside of a domain: a small Linux with its xenbus and its block frontend, in a process of its own."""
