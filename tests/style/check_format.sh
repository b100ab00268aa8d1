#!/bin/bash
# check_format.sh CLANG_FORMAT SOURCE_FOLDER: every C++ and CUDA file is as .clang-format has it, and no line is longer than 120
# characters, which clang-format does not promise of comments. Mend with: clang-format -i FILE
set -euo pipefail
cd "$2"
files=$(find core network data importer worker learner trainer runner bench tests -regex '.*\.\(cpp\|hpp\|cu\|inc\)')
[[ $(wc -l <<< "$files") -gt 200 ]] || { echo "only these files found: $files"; exit 1; }
xargs "$1" --style=file --dry-run -Werror <<< "$files"
if xargs grep -nE '^.{121}' <<< "$files"; then
  echo "lines longer than 120 characters"
  exit 1
fi
