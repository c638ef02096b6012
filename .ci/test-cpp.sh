#!/usr/bin/env bash
# The C++ tests of build/release; leaves build/reports/ctest.{xml,log}.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/reports
ctest --test-dir build/release --output-on-failure --no-tests=error -j2 \
  --output-junit "$PWD/build/reports/ctest.xml" 2>&1 | tee build/reports/ctest.log
