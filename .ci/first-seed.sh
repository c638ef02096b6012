#!/usr/bin/env bash
# Prints the first seed of the simulation: the commit chooses it, so that every commit tries new ones, unless
# HEADRACE_SIM_START says which.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(git rev-parse --short=8 HEAD 2>/dev/null || echo 1)
echo "${HEADRACE_SIM_START:-$((16#${commit:0:8}))}"
