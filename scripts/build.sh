#!/bin/bash
# Configures and builds into build/cpu all for which the packages are here (install-dependencies.sh): a line says what is left out.
# Arguments go to CMake, for instance -DTRISEG_WARNINGS_AS_ERRORS=ON.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

configure "$@"
build
