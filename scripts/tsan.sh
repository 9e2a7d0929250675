#!/bin/sh
# SPDX-License-Identifier: MIT
# Run several queues of one disk, with every I/O engine, under gcc's thread sanitizer: scripts/tsan.sh
#
# The trace is left out: its reader takes entries while they change and throws those away, which is a race on purpose.
set -eu
cd "$(dirname "$0")/.."

folder=$(mktemp -d "${TMPDIR:-/tmp}/usblkback-tsan.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

datapath=usblkback_tui/engine/datapath
sources=$(find "$datapath" -name '*.c' ! -name _core.c)
# the sanitizer does not know fences; what they order is ordered by acquire and release, too
# shellcheck disable=SC2086
${CC:-gcc} -std=gnu11 -g -O1 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-tsan -fsanitize=thread -pthread \
    -I"$datapath" $sources tests/engine/datapath/queues.c -o "$folder/queues"

# with much address space randomisation the sanitizer finds no place for its own memory
TSAN_OPTIONS="halt_on_error=1:exitcode=66:${TSAN_OPTIONS:-}" setarch "$(uname -m)" -R "$folder/queues"
echo "no races"
