#!/bin/bash
# slurm_test.sh TRISEG SOURCE_FOLDER PYTHON
# On a real Slurm: doctor under srun with and without pmix; then slurm/search.sbatch: 2 tasks form one MPI world and finish; a
# job that gets SIGUSR2 commits, ends with code 85, goes back to the queue, and continues to the bytes of an uninterrupted run without Slurm and MPI.
set -euo pipefail

fail() {
  echo "slurm_test.sh: error: $*" >&2
  exit 1
}
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

triseg=$1 source_folder=$2 python=$3
options=(--model lenet5 --seed 7 --episodes 2560 --batch-size 128 --calib-batches 4 --top-k 5 --threads 1
         --checkpoint-every 1 --progress-every 1)

finish() {
  local status=$?
  trap - EXIT
  if ((status)); then tail --verbose --lines=40 "$cluster"/*.log || true; fi
  stop_cluster
  exit "$status"
}
trap finish EXIT

# submit NAME: a job of 2 tasks that searches into the folder NAME and logs to NAME.log; prints its number.
submit() {
  TRISEG=$triseg sbatch --parsable --ntasks=2 --time=30 --output="$cluster/$1.log" "$source_folder/slurm/search.sbatch" \
    "${options[@]}" --out "$cluster/$1"
}

run_file() {
  echo "$cluster/$1/tri_ppo_int_codes/lenet5.h5"
}

expect_in_log() {
  grep -q -e "$2" "$cluster/$1.log" || fail "the log of the $1 job does not say '$2'"
}

compare() {
  "$python" "$source_folder/analysis/compare_runs.py" "$(run_file plain)" "$(run_file "$1")" || fail "the $1 run differs from the plain one"
}

start_cluster
cd "$source_folder"

"$triseg" search "${options[@]}" --out "$cluster/plain" > "$cluster/plain.log" 2>&1

if srun --quiet --ntasks=2 --mpi=none "$triseg" doctor --model lenet5 --out "$cluster/doctor" > "$cluster/doctor.log" 2>&1; then
  fail "doctor does not see that srun started tasks that MPI does not join"
fi
expect_in_log doctor "use srun --mpi=pmix"
srun --quiet --ntasks=2 --mpi=pmix "$triseg" doctor --model lenet5 --out "$cluster/doctor" > "$cluster/joined.log" 2>&1 ||
  fail "doctor finds problems: $(cat "$cluster/joined.log")"
expect_in_log joined "2 started, 2 joined"

job=$(submit whole)
wait_for 90 "job $job to finish" job_completed "$job"
expect_in_log whole "transport mpi: 2 ranks"
compare whole

job=$(submit interrupted)
wait_for 60 "progress of job $job" grep -qs "^episodes" "$cluster/interrupted.log"
scancel --signal=USR2 "$job"
wait_for 60 "job $job to go back to the queue" job_is "$job" PENDING
expect_in_log interrupted "exit code 85"
[[ $(job_field "$job" Restarts) == 1 ]] || fail "job $job was not requeued"
# Slurm lets a requeued job wait for two minutes. Start it sooner, but not in the second in which its node still revokes the
# credential of the first start.
wait_for 30 "an idle node" node_is idle
sleep 3
scontrol update JobId="$job" StartTime=now
wait_for 90 "job $job to finish" job_completed "$job"
expect_in_log interrupted "Continuing"
compare interrupted

echo "2 tasks formed one MPI world; a requeued run ended with the bytes of an uninterrupted one"
