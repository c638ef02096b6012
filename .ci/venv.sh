#!/usr/bin/env bash
# Makes .venv in the project root and installs into it what pyproject.toml names; quick when neither
# changed. With the argument "lint" the linters come too.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3.10 python3 \
    /usr/bin/python3; do
    [[ -n $candidate ]] || continue
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' \
      2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "no Python >= 3.10 with the venv module found; set PYTHON" >&2
  return 1
}

# The names in one list of pyproject.toml. The file is read with a regular expression because tomllib
# came with Python 3.11.
requirements() {
  "$venv/bin/python" - "$1" <<'PY'
import pathlib
import re
import sys

text = pathlib.Path("pyproject.toml").read_text(encoding="utf-8")
for block in re.findall(rf"^{sys.argv[1]} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL):
    print("\n".join(name for name in re.findall(r'"([^"]+)"', block)))
PY
}

# install <stamp> <list>...: the lists of pyproject.toml, unless the stamp holds the same names.
install() {
  local stamp=$venv/.$1 wanted list
  shift
  wanted=$(for list in "$@"; do requirements "$list"; done)
  [[ -f $stamp && $(cat "$stamp") == "$wanted" ]] && return
  mapfile -t names <<<"$wanted"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check "${names[@]}"
  printf '%s\n' "$wanted" >"$stamp"
}

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
  rm -rf "$venv"
  "$(find_python)" -m venv "$venv"
fi
install build requires dependencies examples test
[[ ${1:-} != lint ]] || install lint lint
