#!/bin/bash
# check_lines.sh SOURCE_FOLDER: no line of a C++, CUDA or Python file is longer than 120 characters, which clang-format does not
# promise of comments; and no header lacks its #pragma once.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$1"
files=$(find analysis bench core data docs importer learner network packaging runner tests trainer worker \
  -regex '.*\.\(cpp\|hpp\|cu\|inc\|py\)')
[[ $(grep -c 'py$' <<< "$files") -gt 60 && $(wc -l <<< "$files") -gt 300 ]] || { echo "only these files found: $files"; exit 1; }
if xargs grep -nE '^.{121}' <<< "$files"; then
  echo "lines longer than 120 characters"
  exit 1
fi
if grep 'hpp$' <<< "$files" | xargs grep -L '^#pragma once$' | grep .; then
  echo "no #pragma once"
  exit 1
fi
