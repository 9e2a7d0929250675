# SPDX-License-Identifier: MIT
"""An engine, a guest and everything between them in one thread, where a test decides what happens next."""
