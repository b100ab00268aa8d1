"""What the benchmarks of this folder share: the package of analysis/, processes, and what machine and commit they ran
on."""
import os
import subprocess
import sys

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.append(os.path.join(SOURCE, "analysis"))

from triseg import Error  # noqa: E402  behind its folder


def mpi_environment():
    """This process's environment with what scripts/common.sh adds for Open MPI, as root, too."""
    command = ["bash", "-c", '. "$0" && env -0', os.path.join(SOURCE, "scripts", "common.sh")]
    variables = checked(command, env=dict(os.environ)).stdout.split("\0")
    return os.environ | dict(variable.split("=", 1) for variable in variables if variable.startswith("OMPI_"))


def checked(command, env=None):
    """The finished process and its output. Raises Error if it fails, after printing what it printed. env:
    mpi_environment() unless given."""
    env = mpi_environment() if env is None else env
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise Error(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        print(f"{done.stdout}{done.stderr}", end="", file=sys.stderr)
        raise Error(f"{' '.join(command)}: exit status {done.returncode}")
    return done


def processor():
    with open("/proc/cpuinfo") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    return f"{names['model name']} (family {names['cpu family']}, model {names['model']}), {os.cpu_count()} cores"


def commit():
    """The repository's commit, in short; empty outside of one."""
    command = ["git", "-C", SOURCE, "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
