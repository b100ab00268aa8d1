#!/bin/bash
# From a fresh Debian to searched codes: installs what is missing, builds, and searches the shipped AlexNet's seven sites
# on Fashion-MNIST over 2 MPI ranks. Arguments go to `triseg search`; a --config among them replaces configs/alexnet.toml.
# Run again, it continues or shows what it has found.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/install-dependencies.sh
configure
build --target triseg
config=(--config configs/alexnet.toml)
for argument in "$@"; do
  [[ $argument != --config && $argument != --config=* ]] || config=()
done
exec mpirun -n 2 build/cpu/bin/triseg search "${config[@]}" "$@"
