#!/bin/bash
# slurm_test.sh TRISEG SOURCE_FOLDER PYTHON
# On a real Slurm: doctor under srun with and without pmix; then slurm/search.sbatch: 2 tasks form one MPI world and finish; a
# job that gets SIGUSR2 commits, ends with code 85, goes back to the queue, and continues to the bytes of an uninterrupted run
# without Slurm and MPI; in an array that happens to one task while the other goes on; a job whose limit is one minute works most
# of it before it is stopped; requeues have an end, at once where a part commits nothing new.
set -euo pipefail

fail() {
  echo "slurm_test.sh: error: $*" >&2
  exit 1
}
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

triseg=$1 source_folder=$2 python=$3
options=(--model lenet5 --seed 7 --episodes 1280 --batch-size 128 --calib-batches 4 --top-k 1 --threads 1
         --checkpoint-every 1 --progress-every 1)

finish() {
  local status=$?
  trap - EXIT
  if ((status)); then tail --verbose --lines=40 "$cluster"/*.log || true; fi
  stop_cluster
  exit "$status"
}
trap finish EXIT

# submit NAME [SBATCH'S OPTIONS...]: a job that searches into the folder NAME and logs to NAME.log; prints its number.
submit() {
  TRISEG=${program:-$triseg} sbatch --parsable --time=30 --output="$cluster/$1.log" "${@:2}" "$source_folder/slurm/search.sbatch" \
    "${options[@]}" --out "$cluster/$1"
}

job_requeued() {
  job_is "$1" PENDING && [[ $(job_field "$1" Restarts) == 1 ]]
}

# resume JOB: waits for the job's requeue, its first, and starts it sooner than the two minutes that Slurm lets it wait, but not
# in the second in which its node still revokes the credential of the start before.
resume() {
  wait_for 60 "job $1 to go back to the queue" job_requeued "$1"
  sleep 3
  scontrol update JobId="$1" StartTime=now
}

# stand_in NAME COMMANDS: a program in triseg's place.
stand_in() {
  printf '#!/bin/bash\n%s\n' "$2" > "$cluster/$1.sh"
  chmod +x "$cluster/$1.sh"
  echo "$cluster/$1.sh"
}

job_ended() {
  ! job_is "$1" PENDING && ! job_is "$1" RUNNING && ! job_is "$1" COMPLETING
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

job=$(submit whole --ntasks=2)
wait_for 90 "job $job to finish" job_completed "$job"
expect_in_log whole "transport mpi: 2 ranks"
compare whole

job=$(submit interrupted --ntasks=2)
wait_for 60 "progress of job $job" grep -qs "^episodes" "$cluster/interrupted.log"
scancel --signal=USR2 "$job"
resume "$job"
expect_in_log interrupted "exit code 85"
wait_for 90 "job $job to finish" job_completed "$job"
expect_in_log interrupted "Continuing .* at episode [0-9]"
compare interrupted

# The task that has the whole array's number is requeued: the other must not be.
array=$(submit array%a --ntasks=1 --array=1-2)
for task in 1 2; do wait_for 60 "progress of task $task" grep -qs "^episodes" "$cluster/array$task.log"; done
for task in 1 2; do
  if [[ $(job_field "${array}_$task" JobId) == "$array" ]]; then requeued=$task; else other=$task; fi
done
scancel --signal=USR2 "${array}_$requeued"
resume "${array}_$requeued"
wait_for 90 "task $other to finish" job_completed "${array}_$other"
[[ $(job_field "${array}_$other" Restarts) == 0 ]] || fail "task $other was requeued with its neighbour"
wait_for 90 "task $requeued to finish" job_completed "${array}_$requeued"
expect_in_log "array$requeued" "Continuing .* at episode [0-9]"
for task in 1 2; do compare "array$task"; done

# A limit of one minute leaves a quarter of it for the commit.
short=$(program=$(stand_in short 'trap "echo stopped; exit 85" USR2; while true; do sleep 0.1; echo working; done') submit short \
  --ntasks=1 --time=1)

# While it works: requeues until the limit, by a program that always gets on, and until a part brought nothing new, by one that does not.
endless=$(stand_in endless 'echo "12:00:00 Continuing x at episode $RANDOM$RANDOM of 9" >&2; exit 85')
stuck=$(stand_in stuck 'echo "$RANDOM$RANDOM Continuing x at episode 5 of 9" >&2; exit 85')
job=$(TRISEG_MAX_REQUEUES=1 program=$endless submit endless --ntasks=1)
resume "$job"
wait_for 60 "job $job to end" job_ended "$job"
[[ $(job_field "$job" ExitCode) == 85:0 ]] || fail "job $job did not say that it can be continued"
expect_in_log endless "job $job ends after 1 requeues (TRISEG_MAX_REQUEUES=1)"
job=$(program=$stuck submit stuck --ntasks=1)
resume "$job"
wait_for 60 "job $job to end" job_ended "$job"
[[ $(job_field "$job" Restarts) == 1 ]] || fail "job $job was requeued without progress"
expect_in_log stuck "committed nothing new (both began with: Continuing x at episode 5 of 9)"

wait_for 90 "job $short to go back to the queue" job_requeued "$short"
expect_in_log short "^stopped"
(($(grep -c "^working" "$cluster/short.log") > 20)) || fail "job $short was stopped at once"

echo "2 tasks formed one MPI world; requeued runs ended with the bytes of an uninterrupted one; requeues have an end"
