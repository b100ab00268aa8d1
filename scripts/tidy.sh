#!/bin/bash
# Runs clang-tidy 14 with the checks of .clang-tidy over all sources that the build compiles, or over the files given. Half an
# hour on 2 cores: no part of the test suite. Its last result is in docs/development.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# A tree of its own: clang does not read the headers that GCC has precompiled.
configure -B build/tidy -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON > /dev/null
if [ $# -eq 0 ]; then
  mapfile -t files < <(git ls-files '*.cpp')
else
  files=("$@")
fi
compiled=()
for file in "${files[@]}"; do
  grep -qF "\"$PWD/$file\"" build/tidy/compile_commands.json && compiled+=("$file")
done
printf '%s\0' "${compiled[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 -p build/tidy --quiet
echo "${#compiled[@]} files: nothing found"
