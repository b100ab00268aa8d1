#!/bin/bash
# Configures and builds everything into build/cpu. Arguments go to CMake, for instance -DTRISEG_WARNINGS_AS_ERRORS=ON.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

configure "$@"
build
