#!/usr/bin/env bash
# Lets each Python callback fail 100,000 times and writes what each left behind to tests/python/failures.csv.
# Takes a quarter of an hour; `make test` does 3,000 failures of each. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/reports
counts=$PWD/build/reports/failures.csv
: >"$counts"
HEADRACE_FAILURES=100000 HEADRACE_FAILURE_COUNTS=$counts .venv/bin/python -m pytest tests/python/test_reference_counts.py \
  -k over_many_failures -n 2 --timeout 600 "$@"
{ echo callback,failures,blocks,objects,references; LC_ALL=C sort "$counts"; } >tests/python/failures.csv
