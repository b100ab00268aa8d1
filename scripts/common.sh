# Sourced by the other scripts: goes to the repository's root and says how it is configured, built and run under MPI.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "${0##*/}: error: $*" >&2
  exit 1
}

# Arguments go to CMake.
configure() {
  cmake --preset cpu "$@"
}

# How many compilers run at a time: one a core, but no more than there are 1.5 GB of memory for.
compilers() {
  awk -v cores="$(nproc)" '/^MemTotal/ { n = int($2 / 1.5e6); print n < 1 ? 1 : n < cores ? n : cores }' /proc/meminfo
}

# Arguments go to the build.
build() {
  cmake --build --preset cpu --parallel "$(compilers)" "$@"
}

# Open MPI: let ranks share cores and use all of them, work in containers without ptrace or ssh, and as root.
export OMPI_MCA_rmaps_base_oversubscribe=${OMPI_MCA_rmaps_base_oversubscribe:-1}
export OMPI_MCA_hwloc_base_binding_policy=${OMPI_MCA_hwloc_base_binding_policy:-none}
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
if ! command -v ssh > /dev/null && ! command -v rsh > /dev/null; then
  export OMPI_MCA_plm_rsh_agent=${OMPI_MCA_plm_rsh_agent:-true}  # mpirun wants a program there, though it starts no other host
fi
if [[ $(id -u) == 0 ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
