#!/usr/bin/env bash
# The Python tests in four runs, as their markers say: most of them two at a time, so too those that start servers
# and those that build the project, but each kind by itself; then the serial ones alone. Leaves
# build/reports/pytest-{parallel,services,builds,serial}.{xml,log}. Arguments go to each run. TEST_PYTHON is
# another interpreter than that of .venv, TEST_REPORTS another name than pytest, TEST_RUNS says which of the four.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/reports
python=${TEST_PYTHON:-.venv/bin/python}
reports=build/reports/${TEST_REPORTS:-pytest}
status=0
runs=${TEST_RUNS:-parallel services builds serial}

# pytest's exit code 5: no test has this marker. A shell that starts this in the background has SIGINT ignored, which
# programs inherit: tests of Ctrl-C need it as a terminal has it.
run() {  # name, then pytest's arguments
  local name=$1 code=0
  shift
  [[ " $runs " == *" $name "* ]] || return 0
  env --default-signal=INT "$python" -m pytest tests --ignore=tests/tidy --junitxml="$reports-$name.xml" "$@" 2>&1 |
    tee "$reports-$name.log" || code=${PIPESTATUS[0]}
  [[ $code -eq 0 || ($code -eq 5 && $name != parallel) ]] || status=$code
}

run parallel -m "not services and not builds and not serial" -n 2 "$@"
run services -m services -n 2 --dist loadfile "$@"
run builds -m builds -n 2 "$@"
run serial -m serial "$@"
exit "$status"
