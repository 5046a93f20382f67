#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds with gcc (sanitizers) and clang, warnings as errors, and runs the whole suite.
# The last line counts every single test; exit status 0 only if none failed.
#
#   scripts/test.sh             everything
#   scripts/test.sh -L LABEL    only the tests with that ctest label: unit, interop, fault
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

install_packages scripts/dependencies.txt scripts/test-dependencies.txt || exit 1

log=$(mktemp "${TMPDIR:-/tmp}/moulin-test.XXXXXX") || exit 1
report=$(mktemp "${TMPDIR:-/tmp}/moulin-report.XXXXXX") || exit 1
second=$(mktemp "${TMPDIR:-/tmp}/moulin-report.XXXXXX") || exit 1
trap 'rm -f "$log" "$report" "$second"' EXIT
builds_failed=0
for preset in dev clang; do
    printf 'building: %s\n' "$preset"
    if ! { cmake --preset "$preset" && cmake --build --preset "$preset"; } >"$log" 2>&1; then
        tail -n 60 "$log"
        printf 'FAIL  build %s\n' "$preset"
        builds_failed=$((builds_failed + 1))
    fi
done

if [ ! -f build/dev/CTestTestfile.cmake ]; then
    echo "0 passed, $builds_failed failed"
    exit 1
fi
run_tests() { # report, ctest's arguments
    to=$1
    shift
    ctest --preset dev "$@" --output-on-failure --output-junit "$to" --test-output-size-passed 4194304 \
        --test-output-size-failed 4194304
}

run_tests "$report" -j4 "$@" # most of the time most scripts wait for a timeout
set -- "$report" "$builds_failed"
again=$(python3 tests/count.py --again "$report")
if [ -n "$again" ]; then
    printf 'once more, with nothing beside: %s\n' "$again"
    run_tests "$second" -j1 -R "$again"
    set -- "$@" "$second"
fi
python3 tests/count.py "$@"
