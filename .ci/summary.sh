#!/usr/bin/env bash
# Prints the closing lines of ctest, pytest and the fuzz targets from the logs in build/reports.
set -euo pipefail
cd "$(dirname "$0")/.."
for log in ctest pytest-{parallel,services,builds,serial,tidy} ctest-asan asan-py-{parallel,serial} ctest-tsan; do
  [[ -f build/reports/$log.log ]] || continue
  printf '%-16s ' "$log"
  grep -E '^=+ .* in [0-9.]+s|tests passed, [0-9]+ tests failed|^No tests|no tests ran' \
    "build/reports/$log.log" | tail -n 1 || echo "no summary: the run did not finish"
done
[[ ! -f build/reports/fuzz.log ]] || sed 's/^/fuzz             /' build/reports/fuzz.log
