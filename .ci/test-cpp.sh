#!/usr/bin/env bash
# The C++ tests of build/release; leaves build/reports/ctest.{xml,log} and the figures of the simulation.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/reports
HEADRACE_SIM_START=$(.ci/first-seed.sh)
export HEADRACE_SIM_START
export HEADRACE_SIM_REPORT=$PWD/build/reports/simulation.txt
echo "simulation: seeds from $HEADRACE_SIM_START"
ctest --test-dir build/release --output-on-failure --no-tests=error -j2 \
  --output-junit "$PWD/build/reports/ctest.xml" 2>&1 | tee build/reports/ctest.log
cat "$HEADRACE_SIM_REPORT"
