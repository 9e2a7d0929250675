# SPDX-License-Identifier: MIT
"""The screens behind the digits, each drawn from a Scene alone."""
