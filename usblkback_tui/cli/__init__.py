# SPDX-License-Identifier: MIT
"""The command line.  One module to a command, loaded when that command runs; ``parser.py`` knows them all.

Exit codes: 0 done; 1 the operation failed; 2 wrong usage or configuration, or nothing to talk to; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code."""
    from usblkback_tui.cli.output import complain
    from usblkback_tui.cli.parser import parse
    from usblkback_tui.protocol.errors import UserError

    try:
        args = parse(sys.argv[1:] if argv is None else argv)
    except SystemExit as over:  # argparse has said why
        return int(over.code or 0)
    try:
        try:
            code = int(args.run(args))
            sys.stdout.flush()
            return code
        except UserError as error:
            return complain(error, as_json=getattr(args, "json", False))
    except BrokenPipeError:
        # The reader went away.  Point stdout elsewhere, or the interpreter complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
