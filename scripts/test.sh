#!/bin/bash
# Installs what is missing, builds, and runs the whole test suite. Arguments go to CTest, for instance -R core.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/install-dependencies.sh --for-tests
configure -DTRISEG_TRAINER=ON -DTRISEG_TESTS=ON -DTRISEG_BENCHMARKS=ON -DTRISEG_SLURM_TEST=ON
build
exec ctest --preset cpu "$@"
