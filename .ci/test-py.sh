#!/usr/bin/env bash
# The Python tests: those that may run side by side, two at a time, then the serial ones alone. Leaves
# build/reports/pytest-{parallel,serial}.{xml,log}. Arguments go to both pytest runs.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/reports
status=0

run() {  # name, then pytest's arguments; 5 means that no test has this marker
  local name=$1 code=0
  shift
  .venv/bin/python -m pytest tests --ignore=tests/tidy --junitxml="build/reports/pytest-$name.xml" \
    "$@" 2>&1 | tee "build/reports/pytest-$name.log" || code=${PIPESTATUS[0]}
  [[ $code -eq 0 || ($code -eq 5 && $name == serial) ]] || status=$code
}

run parallel -m "not serial" -n 2 "$@"
run serial -m serial "$@"
exit "$status"
