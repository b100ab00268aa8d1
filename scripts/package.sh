#!/bin/bash
# Makes the Debian packages triseg, triseg-train and libtriseg-dev in build/deb and checks them: lintian, and a search with the program
# as dpkg unpacks it. They are built for this machine's Debian, without CUDA, which is in none of its packages. Arguments go to CMake.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/install-dependencies.sh --for-packages
build=build/deb
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr -DTRISEG_CUDA=OFF -DTRISEG_TRAINER=ON -DTRISEG_TESTS=OFF \
  -DTRISEG_BENCHMARKS=OFF "$@"
cmake --build "$build" --parallel "$(compilers)"
rm -f "$build"/*.deb
(umask 022 && cd "$build" && cpack -G DEB)
packages=("$build"/*.deb)
[[ ${#packages[@]} == 3 ]] || fail "expected three packages, found: ${packages[*]}"
lintian --allow-root --fail-on error,warning "${packages[@]}"

unpacked=$(mktemp --directory)
trap 'rm -rf "$unpacked"' EXIT
for package in "${packages[@]}"; do dpkg --extract "$package" "$unpacked"; done
cd "$unpacked"
usr/bin/triseg search --config configs/lenet5.toml --episodes 128 --top-k 2 --out out
usr/bin/triseg table out/tri_ppo_int_codes/lenet5.h5
usr/bin/triseg train --help > train.txt
echo "These packages are fine:"
(cd - > /dev/null && ls -s --block-size=K "${packages[@]}")
