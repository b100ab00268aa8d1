# What slurm/search.sbatch, slurm/sweep.sbatch and the script that `triseg sweep --slurm` writes share: a command of triseg that runs
# through as many time limits as it takes. It is sourced; `triseg` is an array of the words that start the program.

# In a container (slurm/triseg.def): TRISEG_IMAGE=triseg.sif in the environment, and APPTAINER_BIND=/scratch for folders that
# the site's Apptainer does not bind by itself. gds=hash: PMIx 2 and 3 look for files of slurmd otherwise, which are not there.
if [[ -n ${TRISEG_IMAGE:-} ]]; then
  triseg=(apptainer exec "$TRISEG_IMAGE" triseg)
  export PMIX_MCA_gds=hash
fi

# An array's task by its number in the array: $SLURM_JOB_ID of one of the tasks is the number of the whole array.
job=$SLURM_JOB_ID
if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then job="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"; fi

# seconds FIELD: a time that `scontrol show job` prints, since 1970; nothing where it says Unknown. A controller that does not
# answer is asked again.
seconds() {
  local time
  until time=$(scontrol show job "$job" | sed -n "s/.*\b$1=\([^ ]\+\).*/\1/p") && [[ -n $time ]]; do sleep 10; done
  if [[ $time != Unknown ]]; then date --date="$time" +%s; fi
}

# Five minutes before the time limit, or a quarter of a limit below 20 minutes, every task gets SIGUSR2: the run is committed and
# ends with code 85. A limit that is changed meanwhile counts. Whoever needs a longer lead gives sbatch --signal=USR2@SECONDS.
# The signal is repeated, which changes nothing: the first is lost where the tasks have not started yet. A job without a limit is
# left alone.
stop_before_limit() {
  local start end lead left
  while true; do
    end=$(seconds EndTime)
    if [[ -z $end ]]; then return; fi
    start=$(seconds StartTime)
    lead=$(((end - start) / 4 < 300 ? (end - start) / 4 : 300))
    left=$((end - lead - $(date +%s)))
    if ((left <= 0)); then break; fi
    sleep "$left"
  done
  while true; do
    scancel --signal=USR2 "$job" || true
    sleep 5
  done
}

# The job's log, and its size before this part of the run.
log=$(readlink --canonicalize "/proc/$$/fd/2")
log_size=$(stat --format=%s "$log" 2> /dev/null || echo 0)

# Where this part of the run began: what triseg said of it in the log.
beginning() {
  tail --bytes=+"$((log_size + 1))" "$log" | grep --only-matching -E '(Continuing|Scoring) .*' | paste --serial --delimiters=';'
}

# Where the part before began, if it was this script that requeued the job then.
requeued="Committed; job $job goes back to the queue and continues there; this part began with"
beginning_before() {
  sed -n "s/^$requeued: //p" "$log" | tail --lines=1
}

# through_limits WORD...: `triseg WORD...` on all tasks of the job. Stopped by a signal it ends with code 85; then the job goes back
# to the queue, unless that would lead nowhere.
through_limits() {
  # Without this, srun (22.05 and later) gives a task one core whatever --cpus-per-task says.
  export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
  local status=0 begun=unknown before= restarts="${SLURM_RESTART_COUNT:-0}" most="${TRISEG_MAX_REQUEUES:-1000}"
  stop_before_limit &
  # `srun --mpi=list` names the kinds there are; Open MPI needs one of the pmix kinds. When a task fails, on whatever node, srun
  # ends the others; SIGTERM, with which it begins, changes nothing where they are just ending with code 85, too.
  srun --mpi=pmix --kill-on-bad-exit=1 "${triseg[@]}" "$@" || status=$?
  kill "$!" 2> /dev/null || true
  if [[ $status != 85 ]]; then return "$status"; fi
  if [[ -f $log ]]; then
    begun=$(beginning || echo nothing)
    before=$(beginning_before)
  fi
  if [[ $begun == "$before" ]]; then
    echo "slurm: error: job $job ends: the part before this one committed nothing new (both began with: $begun); give it a longer" \
      "--time" >&2
  elif ((restarts >= most)); then
    echo "slurm: error: job $job ends after $restarts requeues (TRISEG_MAX_REQUEUES=$most); the same command continues it" >&2
  else
    echo "$requeued: $begun" >&2
    scontrol requeue "$job"
  fi
  return "$status"
}
