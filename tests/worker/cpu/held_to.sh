#!/bin/bash
# held_to.sh ISA FLAGS PROGRAM ARGUMENT...: a test with oneDNN held to an instruction set. Where the CPU has none of FLAGS (a|b, as
# /proc/cpuinfo names them) nothing is held back, so it is the test without this again: exit code 77, it is left out.
set -euo pipefail
isa=$1 flags=$2
shift 2
if ! grep -qwE "$flags" /proc/cpuinfo; then
  echo "this CPU has nothing beyond $isa"
  exit 77
fi
exec env DNNL_MAX_CPU_ISA="$isa" ONEDNN_MAX_CPU_ISA="$isa" "$@"
