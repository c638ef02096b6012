#!/usr/bin/env bash
# Builds everything into one tree, build/release: the C++ tests and the modules of headrace, which it installs
# into .venv, editable. The first run goes through pip; later ones only through ninja.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=build/release
mkdir -p "$tree"
exec 9>build/.lock
flock 9
started=$SECONDS

.ci/apt.sh
.ci/venv.sh
python=$PWD/.venv/bin/python
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
stamp=.venv/.editable
wanted=$(cksum pyproject.toml; echo "WERROR=${WERROR:-OFF}")

place_modules() {  # by rename, so that a process that runs an old module keeps it
  local module target
  for module in "$tree"/cpp/bindings/_core*.so "$tree"/cpp/rocksdb_module/_rocksdb*.so; do
    target=$site/headrace/${module##*/}
    cmp -s "$module" "$target" && continue
    cp "$module" "$target.new"
    mv "$target.new" "$target"
  done
}

if [[ ! -f $stamp || ! -f $tree/build.ninja || $(cat "$stamp") != "$wanted" ]] ||
  ! compgen -G "$site/headrace/_core*.so" >/dev/null ||
  ! compgen -G "$site/headrace/_rocksdb*.so" >/dev/null; then
  "$python" -m pip install --disable-pip-version-check --no-build-isolation --no-deps -e . -v \
    --config-settings=build-dir="$tree" \
    --config-settings=cmake.define.HEADRACE_BUILD_TESTS=ON \
    --config-settings=cmake.define.HEADRACE_WERROR="${WERROR:-OFF}" 9>&- >"$tree/pip.log" 2>&1 ||
    { grep -E 'error|Error|FAILED|CMake' -A3 "$tree/pip.log" | tail -n 80; tail -n 5 "$tree/pip.log"; exit 1; }
  printf '%s\n' "$wanted" >"$stamp"
else
  cmake --build "$tree" 9>&- | { grep -v 'no work to do' || true; }
  place_modules
fi
echo "$((SECONDS - started))" >build/build_seconds  # what `make test` adds to its own time
