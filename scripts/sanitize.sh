#!/bin/sh
# SPDX-License-Identifier: MIT
# Run the tests of the C code under gcc's address, leak and undefined-behaviour sanitizers: scripts/sanitize.sh [pytest options]
#
# Both extensions are built with the sanitizers into a temporary copy of the package, so the working ones stay as they are.
# Clean means: all tests pass, no report of any kind, and no memory that our C code allocated is lost.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-$(command -v python || command -v python3)}
cc=${CC:-gcc}
copy=$(mktemp -d "${TMPDIR:-/tmp}/usblkback-sanitize.XXXXXX")
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM

mkdir -p "$copy/tests/engine" "$copy/tests/host"
cp -r usblkback_tui "$copy/"
cp -r tests/engine/datapath "$copy/tests/engine/"
cp -r tests/host/sim "$copy/tests/host/"
cp pyproject.toml "$copy/"
cd "$copy"
find usblkback_tui \( -name '*.so' -o -name '*.o' -o -name _core.c -o -name _sim.c \) -delete

flags="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1"
for build in engine/datapath engine/host/sim; do
    CC=$cc CFLAGS="$flags" LDFLAGS="$flags" USBLK_WERROR=1 PYTHONPATH=$copy \
        "$python" "usblkback_tui/$build/build.py" >build.log 2>&1 || { cat build.log >&2; exit 1; }
done

# The interpreter is not sanitized, so the runtime must be there before it, and what the interpreter never gives back is
# reported too, with another exit status.  So pytest's own verdict goes to a file, and so do the reports, also those of
# guests, which are processes of their own.  Undefined behaviour is told on stderr, which pytest must leave alone.
leaks_on_purpose=tests/host/sim/test_sim_grants.py::test_a_closed_handle
PYTHONPATH=$copy \
    LD_PRELOAD=$($cc -print-file-name=libasan.so) \
    ASAN_OPTIONS=detect_leaks=1:malloc_context_size=3:detect_stack_use_after_return=1:log_path=$copy/report \
    UBSAN_OPTIONS=print_stacktrace=1 \
    "$python" -c '
import pathlib, sys, pytest
outcome = pytest.main(sys.argv[1:])
pathlib.Path("outcome").write_text(str(int(outcome)))' \
    -q --capture=sys -p no:cacheprovider -m "not slow" --deselect "$leaks_on_purpose" "$@" tests/engine/datapath tests/host/sim || true
outcome=$(cat outcome 2>/dev/null) || { echo "the tests were ended by what is reported here" >&2; outcome=1; }

# Everything but leaks counts, and of leaks those that our C code allocated: with three frames to a stack, and no call from
# it into the interpreter, our files stand in no other.
for report in "$copy"/report.*; do
    [ -e "$report" ] || continue
    awk 'BEGIN { RS = ""; ORS = "\n\n" }
         /ERROR: LeakSanitizer/ || /^SUMMARY: .* leaked/ { next }
         !/^(Direct|Indirect) leak/ || / usblkback_tui\// { print }' "$report" >"$copy/ours"
    [ -s "$copy/ours" ] || continue
    cat "$copy/ours" >&2
    outcome=1
done
exit "$outcome"
