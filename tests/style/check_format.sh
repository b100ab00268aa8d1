#!/bin/bash
# check_format.sh CLANG_FORMAT SOURCE_FOLDER: every C++ and CUDA file is as .clang-format has it. Mend with: clang-format -i FILE
set -euo pipefail
cd "$2"
files=$(find core network data worker learner importer trainer runner bench tests -regex '.*\.\(cpp\|hpp\|cu\|inc\)')
[[ $(wc -l <<< "$files") -gt 200 ]] || { echo "only these files found: $files"; exit 1; }
xargs "$1" --style=file --dry-run -Werror <<< "$files"
