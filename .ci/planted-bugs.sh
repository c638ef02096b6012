#!/usr/bin/env bash
# Proves the simulation by bugs: builds build/planted, which differs from build/release only in the switches of
# cpp/headrace/base/planted_bug.h. Each bug must pass all unit tests (all C++ tests but those that attack: the
# simulation, tests/cpp/recovery and the replays of fuzzing), and be found by the simulation within the 2,000 seeds
# of `make test`, by a seed that passes without it. tests/cpp/simulation/planted_bugs.csv then says by which.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=build/planted
seeds=2000
.ci/apt.sh
mkdir -p build/reports
cmake -S . -B "$tree" -G Ninja -DCMAKE_BUILD_TYPE=Release -DHEADRACE_BUILD_TESTS=ON \
  -DHEADRACE_PLANTED_BUGS=ON >build/reports/cmake-planted.log ||
  { cat build/reports/cmake-planted.log; exit 1; }
cmake --build "$tree"

start=$(.ci/first-seed.sh)
mapfile -t bugs < <(sed -n 's/^    "\([a-z_]*\)",$/\1/p' cpp/headrace/base/planted_bug.cc)
[[ ${#bugs[@]} -eq 14 ]] || { echo "${#bugs[@]} bugs are planted, not 14"; exit 1; }
log=build/reports/planted-bugs.log
table=build/reports/planted_bugs.csv
failed=0

# simulate <bug, or nothing> <first seed> <seeds>
simulate() {
  HEADRACE_PLANTED_BUG=$1 HEADRACE_SIM_START=$2 HEADRACE_SIM_SEEDS=$3 \
    "$tree/bin/hr_test_simulation" --gtest_filter='*EverySeed*' >"$log" 2>&1
}

echo "bug,unit_tests_passed,first_seed,seeds_tried,seed,invariant" >"$table"
for bug in "${bugs[@]}"; do
  if ! HEADRACE_PLANTED_BUG=$bug ctest --test-dir "$tree" -E '^(simulation|recovery|fuzz)\.' -j2 \
    --output-on-failure --no-tests=error >"$log" 2>&1; then
    printf '%-26s fails unit tests:\n%s\n' "$bug" "$(grep -F '***' "$log" | sort -u | head -n 8)"
    failed=1
    continue
  fi
  passed=$(sed -n 's/^100% tests passed, 0 tests failed out of \([0-9]*\)$/\1/p' "$log")
  if simulate "$bug" "$start" "$seeds"; then
    printf '%-26s NOT FOUND in %s seeds from %s\n' "$bug" "$seeds" "$start"
    failed=1
    continue
  fi
  found=$(grep -aoE -m 1 '^seed [0-9]+: .*' "$log") || { tail -n 20 "$log"; exit 1; }
  seed=$(cut -d ' ' -f 2 <<<"$found" | tr -d :)
  words=${found#*: }
  tried=$((seed - start + 1))
  simulate "" "$seed" 1 || { echo "seed $seed fails without a planted bug"; exit 1; }
  printf '%-26s passes %s unit tests, found by seed %s, the %sth: %s\n' "$bug" "$passed" "$seed" "$tried" "$words"
  echo "$bug,$passed,$start,$tried,$seed,${words%%:*}" >>"$table"
done
[[ $failed -eq 0 ]] || exit 1
cp "$table" tests/cpp/simulation/planted_bugs.csv
