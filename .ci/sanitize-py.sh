#!/usr/bin/env bash
# The Python tests with a module that is built with AddressSanitizer and UndefinedBehaviorSanitizer. Leaves
# build/reports/asan-py-{parallel,serial}.{xml,log}; what AddressSanitizer reports, in a child process too,
# fails the run and stays in build/reports/asan-py.<process>. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$PWD/build/asan  # that of `make asan`, with the module added
found=$PWD/build/reports/asan-py

# What is left out, each for the reason above it. Everything else of tests/python runs.
left_out=(
  # Install the package or run programs of build/release, which have no sanitizer.
  tests/python/test_install.py
  tests/python/test_simulation_replay.py
  tests/python/test_cpu_variants.py::test_libraries_use_nothing_beyond_the_baseline_but_in_variants
  # Kill whole processes, which leaves nothing to report; what they resume is tested in tests/python.
  tests/recovery
  # Forks while other threads allocate: GCC's runtime does not hold its allocator's locks across a fork, so
  # that a child may wait for one for ever.
  tests/python/test_fork.py
  # Start servers, or a notebook's kernel, that would run with AddressSanitizer's runtime in front. The engine's part
  # of remote storage runs in test_checkpoint_storage.py.
  tests/python/test_azure_checkpoints.py
  tests/python/test_hdfs_checkpoints.py
  tests/python/test_s3_checkpoints.py
  tests/python/test_notebooks.py
  # Measure memory, which a sanitizer multiplies, or count blocks of an allocator that is switched off here.
  tests/python/test_key_release.py::test_memory_stays_flat_over_five_million_keys_that_are_cleared_after_use
  tests/python/test_reference_counts.py
  tests/python/test_state_backends.py::test_state_of_ten_times_the_budget_takes_the_budget_and_200_mb
  tests/python/test_state_backends.py::test_map_of_one_key_outgrows_memory
)

mkdir -p build/reports
rm -f "$found".*
.ci/apt.sh
.ci/venv.sh
python=$PWD/.venv/bin/python
cmake --preset asan -DHEADRACE_BUILD_BINDINGS=ON -DPython_EXECUTABLE="$python" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" >build/reports/cmake-asan-py.log ||
  { cat build/reports/cmake-asan-py.log; exit 1; }
cmake --build --preset asan --target _core _rocksdb

# An environment of its own with this module and the package's sources, which borrows the packages of .venv.
venv=$tree/venv
"$python" -m venv --clear --without-pip "$venv"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
mkdir "$site/headrace"
ln -s "$PWD"/python/headrace/* "$tree"/cpp/bindings/_core*.so \
  "$tree"/cpp/rocksdb_module/_rocksdb*.so "$site/headrace/"
"$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))' >"$site/packages_of_the_project.pth"

# Python is built without sanitizers, so their runtime comes first; with libstdc++, or exceptions would be
# thrown past it. Python's own allocator would hide what happens to its objects.
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)"
export PYTHONMALLOC=malloc
# Leaks are off, because the interpreter leaves much to the end of its process.
export ASAN_OPTIONS=detect_leaks=0:strict_string_checks=1:detect_stack_use_after_return=1:malloc_context_size=10:log_path=$found
# The one suppression: cpp/bindings/CMakeLists.txt says why.
echo 'null:pybind11/pybind11.h' >"$tree/suppressions"
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:suppressions=$tree/suppressions
status=0
# faulthandler would take the signals that AddressSanitizer reports; what UndefinedBehaviorSanitizer writes
# to standard error would be lost in pytest's file. All tests of the other two runs are left out.
export TEST_PYTHON=$venv/bin/python TEST_REPORTS=asan-py TEST_RUNS="parallel serial"
.ci/test-py.sh -p no:faulthandler --capture=sys \
  "${left_out[@]/#/--deselect=}" "$@" || status=$?
if compgen -G "$found.*" >/dev/null; then
  tail -n 100 "$found".*
  status=1
fi
exit "$status"
