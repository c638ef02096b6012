#!/usr/bin/env bash
# Installs the Debian packages that the build needs; quick and silent when all are there. With the
# argument "fuzz" clang comes too, whose fuzzer GCC does not have.
set -euo pipefail

packages=(
  ccache cmake g++ git make ninja-build pkg-config python3-dev python3-venv
  libbenchmark-dev libboost1.81-dev libgtest-dev liblz4-dev librocksdb-dev libsnappy-dev
  libxxhash-dev libzstd-dev
)
# The tests start a real HDFS.
command -v java >/dev/null || packages+=(openjdk-17-jre-headless)
command -v mvn >/dev/null || packages+=(maven)
[[ ${1:-} != fuzz ]] || packages+=(clang-16 libclang-rt-16-dev)

if ! command -v dpkg-query >/dev/null; then
  echo "not a Debian system: please install the equivalents of ${packages[*]}" >&2
  exit 0
fi

installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null |
  sed -n 's/^ii *//p' || true)
missing=()
for package in "${packages[@]}"; do
  grep -qx -- "$package" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || { echo "please install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"
