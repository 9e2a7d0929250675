# SPDX-License-Identifier: MIT
"""The inside of a domain: a small kernel with its xenbus and one block frontend or another, in a process of its own."""
