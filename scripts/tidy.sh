#!/bin/bash
# Runs clang-tidy 14 with the checks of .clang-tidy over all sources that the build compiles, or over the files given. Half an
# hour on 2 cores: no part of the test suite. Its last result is in docs/development.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

configure > /dev/null
if [ $# -eq 0 ]; then
  mapfile -t files < <(git ls-files '*.cpp')
else
  files=("$@")
fi
# clang 14 cannot read the headers of LibTorch 1.13 as C++20: what is compiled behind them is left out.
compiled=()
for file in "${files[@]}"; do
  command=$(grep -F " $PWD/$file\"" build/cpu/compile_commands.json || true)
  if [[ -n $command && $command != *cmake_pch* ]]; then compiled+=("$file"); fi
done
printf '%s\0' "${compiled[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 -p build/cpu --quiet
echo "${#compiled[@]} files: nothing found"
