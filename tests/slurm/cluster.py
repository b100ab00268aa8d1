"""A real Slurm for the tests of this folder: munged, slurmctld and slurmd, in a temporary folder and with ports of its
own.

Where this process may make namespaces, a cluster of two hosts has `one`, with the controller, and `two`. Each is a
network, host name, mount and process namespace with its own munged and slurmd; a veth pair joins them. Nothing of it is
to be seen outside, so its addresses clash with none, and the kernel ends all processes of a host with its first one,
which ends as soon as its standard input does: no host outlives the test, however that ends. Elsewhere a cluster has one
host, this machine, on loopback; it works as any user and ends only the processes that it started.
"""
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from program import FEW, PROGRAM, SOURCE, ProgramTest, episodes_in, let_go, quick, result_file, run, run_file, send

DAEMONS = ("munged", "slurmctld", "slurmd")
ADDRESSES = {"one": "10.77.0.1", "two": "10.77.0.2"}

# No control groups (proctrack/linuxproc, task/none): they would need systemd, or the right to write to the machine's
# own.
# More cores than there may be: a job must not wait for another one to end.
CONFIGURATION = """
ClusterName=triseg
SlurmctldHost={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/host/munge/socket
SlurmctldPort={port}
SlurmdPort={slurmd_port}
StateSaveLocation={folder}/controller
SlurmctldPidFile={folder}/controller/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/host/spool
SlurmdPidFile={folder}/host/slurmd.pid
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=4
SlurmdTimeout={host_timeout}
{nodes}
PartitionName=test Nodes=ALL Default=YES State=UP
"""


class ThisMachine:
    """folder: where the cluster's folder has this host's own files."""
    def __init__(self):
        self.name, self.address, self.folder = socket.gethostname().split(".")[0], "127.0.0.1", "host"
        self.processes = []

    def command(self, words):
        """The command that runs another one on this host, in the source folder."""
        return ["env", "--chdir=" + SOURCE, *words]

    def has(self, pid):
        """Whether a process runs on this host."""
        return True

    def start(self, words, log):
        with open(log, "ab") as file:
            ends_with_the_test = self.command(["setpriv", "--pdeathsig", "TERM", *words])
            self.processes.append(subprocess.Popen(ends_with_the_test, stdin=subprocess.DEVNULL, stdout=file,
                                                   stderr=file))

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Namespaces(ThisMachine):
    """A host of its own, which sees the folder `folder`/NAME as `folder`/host."""
    def __init__(self, name, folder):
        self.name, self.address, self.folder = name, ADDRESSES[name], name
        self.processes = []
        os.mkdir(f"{folder}/{name}")
        script = (f"mount --bind '{folder}/{name}' '{folder}/host' && mount --bind '{folder}/hosts' /etc/hosts && "
                  f"echo {name} > /proc/sys/kernel/hostname && ip link set lo up && echo ready && read -r")
        self.unshare = subprocess.Popen(["unshare", "--net", "--uts", "--mount", "--pid", "--fork",
                                         "--mount-proc", "bash", "-c", script], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.unshare.stdout.readline() != "ready\n":
            raise OSError(self.unshare.communicate()[1].strip())
        with open(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children") as file:
            self.first_process = file.read().strip()

    def command(self, words):
        return ["nsenter", "--target", self.first_process, "--net", "--uts", "--mount", "--pid",
                "--", *super().command(words)]

    def has(self, pid):
        return os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{self.first_process}/ns/net")

    def ip(self, *words):
        """ip in this host's network, where a process has the number that it has for the test."""
        subprocess.run(["nsenter", "--target", self.first_process, "--net", "ip", *words], check=True,
                       capture_output=True, text=True)

    def stop(self):
        self.unshare.communicate()  # closes its standard input
        for process in self.processes:
            process.wait()


def two_hosts(folder):
    """Two hosts and "", or none and why they cannot be made."""
    hosts = []
    with open(f"{folder}/hosts", "w") as file:
        file.write("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in ADDRESSES.items()))
    try:
        for name in ADDRESSES:
            hosts.append(Namespaces(name, folder))
        hosts[0].ip("link", "add", "link0", "type", "veth", "peer", "name", "link0", "netns", hosts[1].first_process)
        for host in hosts:
            host.ip("address", "add", host.address + "/24", "dev", "link0")
            host.ip("link", "set", "link0", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        for host in hosts:
            host.stop()
        return [], getattr(error, "stderr", None) or str(error)
    return hosts, ""


class Cluster:
    """hosts: the first one has the controller. one_host: why there is only one, where two were wanted. host_timeout:
    seconds after which a host that does not answer is down."""
    def __init__(self, hosts_wanted, host_timeout):
        os.environ["PATH"] += ":/usr/sbin"
        missing = [daemon for daemon in DAEMONS if not shutil.which(daemon)]
        if missing:
            raise AssertionError(
                f"not installed: {', '.join(missing)}; run scripts/install-dependencies.sh --for-tests")
        self.folder = tempfile.mkdtemp(prefix="triseg-slurm-")
        os.chmod(self.folder, 0o755)
        for name in ("controller", "host"):
            os.mkdir(f"{self.folder}/{name}")
        self.hosts, self.one_host = two_hosts(self.folder) if hosts_wanted == 2 else ([], "")
        self.hosts = self.hosts or [ThisMachine()]
        self.running, self.host_timeout = False, host_timeout
        try:
            self.start()
        except BaseException:
            self.print_logs()
            self.stop()
            raise

    def start(self):
        folder, first, port = self.folder, self.hosts[0], 20000 + os.getpid() % 10000 * 2
        nodes = "\n".join(f"NodeName={h.name} NodeAddr={h.address} CPUs=4 State=UNKNOWN" for h in self.hosts)
        files = {"slurm.conf": CONFIGURATION.format(
                     folder=folder, user=pwd.getpwuid(os.getuid()).pw_name,
                     controller=f"{first.name}({first.address})", port=port, slurmd_port=port + 1,
                     host_timeout=self.host_timeout, nodes=nodes),
                 "cgroup.conf": "CgroupPlugin=cgroup/v1\n",  # not used, but slurmd wants one: v2 needs systemd to start
                 "mpi.conf": f"PMIxCliTmpDirBase={folder}/host\n"}  # in /tmp, which they share, the hosts would meet
        for name, content in files.items():
            with open(f"{folder}/{name}", "w") as file:
                file.write(content)
        os.environ["SLURM_CONF"] = f"{folder}/slurm.conf"
        key, log, munge = os.urandom(128), f"{folder}/daemons.log", f"{folder}/host/munge"
        for host in self.hosts:
            own = f"{folder}/{host.folder}"
            os.mkdir(f"{own}/spool")
            os.mkdir(f"{own}/munge")
            with open(os.open(f"{own}/munge/key", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(key)
            host.start(["munged", "--foreground", "--force", f"--key-file={munge}/key", f"--socket={munge}/socket",
                        f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"], log)
            wait_for(30, "munged's socket", lambda: os.path.exists(f"{own}/munge/socket"))
        first.start(["slurmctld", "-D"], log)
        for host in self.hosts:
            host.start(["slurmd", "-D"], log)
        self.running = True
        wait_for(90, "idle nodes",
                 lambda: self.run("sinfo", "--noheader", "--Node", "--format=%T", check=False).split() ==
                 ["idle"] * len(self.hosts))

    def stop(self):
        """Ends all jobs and daemons."""
        if self.running and len(self.hosts) == 1:
            self.run("scancel", "--quiet", f"--user={os.getuid()}", check=False)
            with contextlib.suppress(AssertionError):
                wait_for(20, "the end of all jobs", lambda: not self.run("squeue", "--noheader", check=False))
        for host in self.hosts:
            host.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def print_logs(self):
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(f"{self.folder}/{name}", errors="replace") as file:
                    print(f"==> {name} <==\n" + "".join(file.readlines()[-40:]), file=sys.stderr, flush=True)

    def run(self, *words, check=True):
        """What a command prints on the first host."""
        done = subprocess.run(self.hosts[0].command(words), capture_output=True, text=True, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def field(self, job, name):
        """A field that `scontrol show job` prints, for instance JobState."""
        words = self.run("scontrol", "show", "job", job).split()
        return next((word[len(name) + 1:] for word in words if word.startswith(name + "=")), None)


def wait_for(seconds, what, true):
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.1)


# A search of some seconds that can be met at work: it commits every iteration.
EPISODES = 1920
SEARCH = ("--episodes", str(EPISODES), "--checkpoint-every", "0", "--progress-every", "1", "--threads", "1")


class SlurmTest(ProgramTest):
    """Tests that share a cluster of HOSTS hosts, or of one, and the run `plain`, made by one process without Slurm."""
    HOSTS, HOST_TIMEOUT = 1, 300

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(cls.HOSTS, cls.HOST_TIMEOUT)
        cls.addClassCleanup(cls.cluster.stop)
        if cls.cluster.one_host:
            print(f"One host only, for namespaces cannot be made here: {cls.cluster.one_host}", file=sys.stderr)
        os.environ["TRISEG_MODELS"] = FEW
        cls.plain = cls.out("plain")
        cls.search_alone(cls.plain)

    @staticmethod
    def search_alone(out, *more):
        done = run(quick(*SEARCH, "--out", out, *more))
        if done.returncode:
            raise AssertionError(done.stderr)

    def run(self, result=None):
        result = result or self.defaultTestResult()
        bad = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > bad:
            self.cluster.print_logs()

    @classmethod
    def out(cls, name):
        return f"{cls.cluster.folder}/{name}"

    def log(self, name):
        with contextlib.suppress(FileNotFoundError), open(self.out(name) + ".log", errors="replace") as file:
            return file.read()
        return ""

    @classmethod
    def submit(cls, name, *options, search=(), **environment):
        """The number of a job, with options of sbatch, that searches into out(NAME) and logs to NAME.log."""
        return cls.cluster.run("env", *(f"{k}={v}" for k, v in ({"TRISEG": PROGRAM} | environment).items()), "sbatch",
                               "--parsable", "--time=30", f"--output={cls.out(name)}.log", *options,
                               "slurm/search.sbatch", *quick(*SEARCH, "--out", cls.out(name), *search)[1:])

    def ranks(self, job):
        """The running ranks of a job: a process and the name of its host each."""
        found = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/exe") != os.path.realpath(PROGRAM):
                    continue
                with open(f"/proc/{entry}/environ") as file:
                    variables = dict(v.split("=", 1) for v in file.read().split("\0") if "=" in v)
                if (variables.get("SLURM_CONF"), variables.get("SLURM_JOB_ID")) == (os.environ["SLURM_CONF"], job):
                    host = next(h for h in self.cluster.hosts if h.has(entry))
                    found[int(variables["SLURM_PROCID"])] = (int(entry), host.name)
        return [found[rank] for rank in sorted(found)]

    def hold(self, name, job, path=None):
        """The ranks of a job, stopped in the midst of the search into out(NAME), or of the run in `path`."""
        path = path or run_file(self.out(name))
        wait_for(60, f"episodes of job {job}", lambda: episodes_in(path) >= 64)
        ranks = self.ranks(self.cluster.field(job, "JobId"))
        for pid, _ in ranks:
            send(pid, signal.SIGSTOP)
        self.addCleanup(self.let_go, ranks)
        self.assertTrue(ranks)
        self.assertLess(episodes_in(path), EPISODES - 320, "it was not met in time")
        return ranks

    @staticmethod
    def let_go(ranks):
        let_go([pid for pid, _ in ranks])

    def wait_for_requeue(self, job):
        wait_for(60, f"job {job} to go back to the queue",
                 lambda: (self.cluster.field(job, "JobState"), self.cluster.field(job, "Restarts")) == ("PENDING", "1"))

    def restart(self, job):
        """Starts a job that goes back to the queue, its first time, sooner than the two minutes that Slurm lets it
        wait, but not in the second in which its node still revokes the credential of the start before."""
        self.wait_for_requeue(job)
        time.sleep(3)
        self.cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    def wait_for_end(self, job, seconds=90):
        """The state in which a job ends."""
        wait_for(seconds, f"the end of job {job}",
                 lambda: self.cluster.field(job, "JobState") not in ("PENDING", "RUNNING", "COMPLETING", "SUSPENDED"))
        return self.cluster.field(job, "JobState")

    def assert_completes(self, job, name):
        self.assertEqual(self.wait_for_end(job), "COMPLETED", self.log(name))

    def assert_plain(self, name):
        self.assert_same_run(self.plain, self.out(name))
