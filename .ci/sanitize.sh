#!/usr/bin/env bash
# Builds and runs the C++ tests under a preset with sanitizers: asan runs all of them; tsan those of folders
# with threads, except for one that starts a thread in a forked child, which ThreadSanitizer cannot follow.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
.ci/apt.sh
mkdir -p build/reports
cmake --preset "$preset" >"build/reports/cmake-$preset.log" ||
  { cat "build/reports/cmake-$preset.log"; exit 1; }
cmake --build --preset "$preset"
ctest --preset "$preset" 2>&1 | tee "build/reports/ctest-$preset.log"
