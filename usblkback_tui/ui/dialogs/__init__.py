# SPDX-License-Identifier: MIT
"""Modal questions: attach, detach, quit and help."""
