#!/usr/bin/env bash
# Builds the fuzz targets and runs each for some seconds (the first argument) from its committed
# corpus, two at a time. New inputs stay in build/fuzz/corpus, crashing ones in build/fuzz/crashes.
set -euo pipefail
cd "$(dirname "$0")/.."
export FUZZ_SECONDS=$1
tree=build/fuzz
.ci/apt.sh fuzz
mkdir -p build/reports
cmake --preset fuzz >build/reports/cmake-fuzz.log || { cat build/reports/cmake-fuzz.log; exit 1; }
cmake --build --preset fuzz

fuzz_one() {  # program of a target
  local program=$1 name=${1##*/hr_fuzz_}
  local log=build/reports/fuzz-$name.log crashes=build/fuzz/crashes/$name/
  local found=build/fuzz/corpus/$name
  mkdir -p "$crashes" "$found"
  # Memory is limited because no input may make the engine allocate more than its own size warrants.
  if "$program" -max_total_time="$FUZZ_SECONDS" -timeout=10 -malloc_limit_mb=256 -max_len=4096 \
    -print_final_stats=1 -artifact_prefix="$crashes" "$found" "tests/fuzz/corpus/$name" \
    >"$log" 2>&1; then
    printf '%-22s %s runs in %s s, no crash\n' "$name" \
      "$(sed -n 's/^stat::number_of_executed_units: //p' "$log")" "$FUZZ_SECONDS"
    return
  fi
  grep -nE 'ERROR:|runtime error:|check failed:|SUMMARY:' "$log" || tail -n 30 "$log"
  echo "$name FAILED; $log has all of it. To replay:"
  sed -n "s|.*Test unit written to |  $program |p" "$log"
  return 1
}
export -f fuzz_one

failed=0
find "$tree/bin" -name 'hr_fuzz_*' -print0 | sort -z |
  xargs -0 -P 2 -I{} bash -euo pipefail -c 'fuzz_one {}' 2>&1 | tee build/reports/fuzz.log || failed=1
exit "$failed"
