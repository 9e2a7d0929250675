# SPDX-License-Identifier: MIT
"""Modal questions: attach, detach, resize, quit and help."""
