#!/bin/bash
# Installs the Debian or Ubuntu packages that triseg needs, if any is missing; needs root or sudo only then. Without an argument those
# of a search and of its report; besides:
#   --for-training   LibTorch, for `triseg train` and `triseg repair`: some 270 packages that a search never loads
#   --for-importing  ONNX and Protocol Buffers, for `triseg import`
#   --for-packages   LibTorch, ONNX, and what scripts/package.sh makes and checks Debian packages with
#   --for-tests      LibTorch, ONNX, and what only tests and benchmarks need: Slurm's daemons, other readers of HDF5, Chromium, PyTorch
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(
  g++ cmake ninja-build
  libdnnl-dev # INT8 convolutions
  openmpi-bin libopenmpi-dev
  libhdf5-dev zlib1g-dev libssl-dev
  libcli11-dev nlohmann-json3-dev libspdlog-dev libtomlplusplus-dev
  python3-h5py python3-pandas # triseg report, triseg table and the scripts of analysis/
  dataset-fashion-mnist
)
training=(
  libtorch-dev
  libopenblas0-pthread # the BLAS that LibTorch runs on; the reference BLAS is 50 times slower
)
importing=(libonnx-dev libprotobuf-dev protobuf-compiler)
tests=(
  ccache libgtest-dev libgmock-dev libbenchmark-dev
  hdf5-tools # the tests read files that h5repack and h5copy rewrote
  slurmctld slurmd slurm-client munge iproute2 clang-format-14 octave r-bioc-rhdf5 chromium zsh
  python3-pip python3-venv python3-setuptools python3-wheel # the wheel of the Python package
  python3-pil # python3 -m triseg.images, of folders
  python3-onnx # the files that tests of the importer make
  python3-torch # checkpoints of the Python original: 140 MB besides LibTorch
)
packaging=(dpkg-dev file lintian)
case "${1:-}" in
  "") ;;
  --for-training) packages+=("${training[@]}") ;;
  --for-importing) packages+=("${importing[@]}") ;;
  --for-packages) packages+=("${training[@]}" "${importing[@]}" "${packaging[@]}") ;;
  --for-tests) packages+=("${training[@]}" "${importing[@]}" "${tests[@]}") ;;
  *) fail "unknown argument '$1': expected --for-training, --for-importing, --for-packages, --for-tests or nothing" ;;
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

# LibTorch's BLAS: a machine that had the reference BLAS set by hand keeps it, so change over.
while read -r name _ path; do
  openblas=${path%/blas/*}/openblas-pthread/libblas.so.3
  if [[ $name == libblas.so.3-* && $path == */blas/libblas.so.3 && -e $openblas ]]; then
    as_root update-alternatives --set "$name" "$openblas"
  fi
done < <(update-alternatives --get-selections)
