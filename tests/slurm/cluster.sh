# Sourced by slurm_test.sh: a Slurm of one node on loopback, in a temporary folder, with ports of its own. Works as any
# user; ends only the processes that it started.

PATH=$PATH:/usr/sbin
cluster=$(mktemp -d /tmp/triseg-slurm-XXXXXX)
cluster_pids=()
export SLURM_CONF=$cluster/slurm.conf

start_cluster() {
  local user host port program
  for program in munged slurmctld slurmd sbatch; do
    command -v "$program" > /dev/null || fail "$program is not installed: run scripts/install-dependencies.sh --for-tests"
  done
  user=$(id -un) host=$(hostname -s) port=$((20000 + $$ % 10000 * 2))

  chmod 755 "$cluster"
  mkdir "$cluster/controller" "$cluster/node" "$cluster/munge"
  (umask 077 && head -c 128 /dev/urandom > "$cluster/munge/key")
  cat > "$SLURM_CONF" << END
ClusterName=triseg
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$cluster/munge/socket
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$cluster/controller
SlurmdSpoolDir=$cluster/node
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdLogFile=$cluster/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES State=UP
END
  echo CgroupPlugin=cgroup/v1 > "$cluster/cgroup.conf"  # not used, but slurmd wants one: v2 needs systemd to start
  in_background munged --foreground --force --key-file="$cluster/munge/key" --socket="$cluster/munge/socket" \
    --pid-file="$cluster/munge/pid" --log-file="$cluster/munge/log" --seed-file="$cluster/munge/seed"
  wait_for 30 "munged's socket" test -S "$cluster/munge/socket"
  in_background slurmctld -D
  in_background slurmd -D
  wait_for 60 "an idle node" node_is idle
}

stop_cluster() {
  local i
  if ((${#cluster_pids[@]} == 3)) && sinfo > /dev/null 2>&1; then
    scancel --quiet --user="$(id -un)" || true
    wait_for 20 "the end of all jobs" no_jobs || true
  fi
  for ((i = ${#cluster_pids[@]} - 1; i >= 0; --i)); do
    kill "${cluster_pids[i]}" 2> /dev/null || true
    wait "${cluster_pids[i]}" || true
  done
  rm -rf "$cluster"
}

in_background() {
  "$@" >> "$cluster/daemons.log" 2>&1 &
  cluster_pids+=($!)
}

node_is() {
  [[ $(sinfo --noheader --format=%T 2> /dev/null) == "$1" ]]
}

no_jobs() {
  [[ -z $(squeue --noheader) ]]
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if ((SECONDS >= deadline)); then
      echo "waited in vain for $what" >&2
      return 1
    fi
    sleep 0.2
  done
}

# The value of a field that `scontrol show job` prints, for instance JobState.
job_field() {
  scontrol show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p"
}

job_is() {
  [[ $(job_field "$1" JobState) == "$2" ]]
}

job_completed() {
  ! job_is "$1" FAILED || fail "job $1 failed"
  job_is "$1" COMPLETED
}
