#!/usr/bin/env bash
# Every test of the project: C++, Python, then the house rules, which also read the reports of the first
# two. A failure does not stop the later parts; the summaries stand at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf build/reports
mkdir -p build/reports
failed=()
printf 'build\t%s\n' "$(cat build/build_seconds)" >build/reports/seconds.tsv

timed() {  # name, command: leaves its seconds in build/reports/seconds.tsv
  local name=$1 started=$SECONDS
  shift
  "$@" || failed+=("$name")
  printf '%s\t%s\n' "$name" "$((SECONDS - started))" >>build/reports/seconds.tsv
}

timed "C++ tests" .ci/test-cpp.sh
timed "Python tests" .ci/test-py.sh
HEADRACE_REPORTS=$PWD/build/reports .venv/bin/python -m pytest tests/tidy -s \
  --junitxml=build/reports/pytest-tidy.xml 2>&1 | tee build/reports/pytest-tidy.log ||
  failed+=("house rules")

.ci/summary.sh
[[ ${#failed[@]} -eq 0 ]] || { printf 'FAILED: %s\n' "${failed[@]}"; exit 1; }
