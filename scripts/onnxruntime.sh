#!/bin/bash
# Compares the importer with ONNX Runtime, of npm's onnxruntime-node, which goes into the build folder: first on the files that the tests make,
# then, if arguments are given, by bench/importer/compare.py, which takes them. Needs Node.js 18 or later and npm. triseg itself needs neither.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=1.30.0
packages=build/cpu/onnxruntime
command -v npm > /dev/null || fail "needs npm and node (Debian: apt-get install npm)"
if [[ ! -d $packages/node_modules/onnxruntime-node ]]; then
  mkdir -p "$packages"
  npm install --ignore-scripts --no-audit --no-fund --prefix "$packages" "onnxruntime-node@$version"
fi
configure -DTRISEG_TESTS=ON -DTRISEG_ONNXRUNTIME_TEST=ON
build --target triseg triseg-import logit_codes
ctest --preset cpu -L onnxruntime
if (($#)); then exec python3 bench/importer/compare.py "$@"; fi
