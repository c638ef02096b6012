#!/usr/bin/env bash
# The C++ tests of build/release; leaves build/reports/ctest.{xml,log} and the figures of the simulation.
# The commit chooses the seeds of the simulation, so that every commit tries new ones.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/reports
commit=$(git rev-parse --short=8 HEAD 2>/dev/null || echo 1)
export HEADRACE_SIM_START=${HEADRACE_SIM_START:-$((16#${commit:0:8}))}
export HEADRACE_SIM_REPORT=$PWD/build/reports/simulation.txt
echo "simulation: seeds from $HEADRACE_SIM_START"
ctest --test-dir build/release --output-on-failure --no-tests=error -j2 \
  --output-junit "$PWD/build/reports/ctest.xml" 2>&1 | tee build/reports/ctest.log
cat "$HEADRACE_SIM_REPORT"
