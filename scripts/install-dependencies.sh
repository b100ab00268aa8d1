#!/bin/bash
# Installs the Debian or Ubuntu packages that triseg needs, if any is missing; needs root or sudo only then.
#   --for-tests   also what only tests need: the daemons of Slurm, clang-format, other readers of HDF5, Chromium
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(
  g++ cmake ninja-build ccache pkg-config
  libtorch-dev         # the policy and the training
  libopenblas0-pthread # the BLAS that LibTorch runs on; the reference BLAS is 50 times slower
  libdnnl-dev          # INT8 convolutions
  openmpi-bin libopenmpi-dev
  libhdf5-dev zlib1g-dev libssl-dev
  libcli11-dev nlohmann-json3-dev libspdlog-dev libtomlplusplus-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  python3-h5py python3-pandas  # triseg table and the scripts of analysis/; the tests read our HDF5 files with them
  hdf5-tools           # the tests read files that h5repack and h5copy rewrote
  dataset-fashion-mnist
)
case "${1:-}" in
  "") ;;
  --for-tests) packages+=(slurmctld slurmd slurm-client munge iproute2 clang-format-14 octave r-bioc-rhdf5 chromium zsh) ;;
  *) fail "unknown argument '$1': expected --for-tests or nothing" ;;
esac

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo "$@"
  else
    fail "neither root nor sudo, cannot run: $*"
  fi
}

command -v dpkg-query > /dev/null || fail "this is no Debian or Ubuntu: install by hand the counterparts of: ${packages[*]}"
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2> /dev/null) || status=absent
  [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "Installing: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
fi

# A machine that had the reference BLAS set by hand keeps it: change over.
while read -r name _ path; do
  if [[ $name == libblas.so.3-* && $path == */blas/libblas.so.3 ]]; then
    as_root update-alternatives --set "$name" "${path%/blas/*}/openblas-pthread/libblas.so.3"
  fi
done < <(update-alternatives --get-selections)
