# SPDX-License-Identifier: MIT
"""``python -m usblkback_tui`` is ``usblkback-tui``."""

import sys

from usblkback_tui.cli import main

sys.exit(main())
