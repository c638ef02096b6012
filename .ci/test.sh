#!/usr/bin/env bash
# Every test of the project: C++, Python, then the house rules, which also read the reports of the first
# two. A failure does not stop the later parts; the summaries stand at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf build/reports
mkdir -p build/reports
failed=()

.ci/test-cpp.sh || failed+=("C++ tests")
.ci/test-py.sh || failed+=("Python tests")
HEADRACE_REPORTS=$PWD/build/reports .venv/bin/python -m pytest tests/tidy -s \
  --junitxml=build/reports/pytest-tidy.xml 2>&1 | tee build/reports/pytest-tidy.log ||
  failed+=("house rules")

.ci/summary.sh
[[ ${#failed[@]} -eq 0 ]] || { printf 'FAILED: %s\n' "${failed[@]}"; exit 1; }
