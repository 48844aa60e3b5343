"""Finds this process's index, the number of processes and the coordinator's address.

They come from flags, or from the environment variables that SLURM and Kubernetes (an indexed Job) set. This module does
not import JAX, so a wrong number is refused at once.
"""

import dataclasses
import os
from collections.abc import Mapping

from absl import flags

from data_pipeline.command import InputError

# Without a flag, the first of these variables that is set is used.
_COORDINATOR_IN = ("JAX_COORDINATOR_ADDRESS",)
_INDEX_IN = ("SLURM_PROCID", "JOB_COMPLETION_INDEX")
_COUNT_IN = ("SLURM_NTASKS",)


@dataclasses.dataclass(frozen=True)
class Membership:
    """The place of this process in a training run.

    Attributes:
        coordinator: "host:port" of process 0. Empty when JAX finds the processes by itself (Cloud TPU, Open MPI).
        index: Index of this process, from 0.
        count: Number of processes.
        meeting_seconds: Longest wait for the other processes at the start.
    """

    coordinator: str
    index: int
    count: int
    meeting_seconds: float = 300.0

    @property
    def address(self) -> tuple[str, int]:
        """Returns the coordinator's host and port."""
        host, _, port = self.coordinator.rpartition(":")
        return host.strip("[]"), int(port)


ALONE = Membership("", 0, 1)
FOUND_BY_JAX = Membership("", 0, 0)  # JAX finds the index and the count


def define_flags() -> None:
    """Defines the flags of a command that may run as several processes."""
    flags.DEFINE_bool(
        "distributed",
        False,
        "This is one of several processes of a run. SLURM and Kubernetes (indexed Job) set index and count; without "
        "--coordinator JAX finds the others on a Cloud TPU or by Open MPI, which gives each process one GPU.",
    )
    flags.DEFINE_string("coordinator", None, "With --distributed: host:port of process 0.")
    flags.DEFINE_integer("process_index", None, "With --distributed: index of this process, from 0.")
    flags.DEFINE_integer("process_count", None, "With --distributed: number of processes.")
    flags.DEFINE_float("meeting_seconds", 300.0, "With --distributed: longest wait for the other processes.")


def from_flags() -> Membership:
    """Reads the process index, count and coordinator address from flags or environment variables.

    Raises:
        InputError: One of them is missing, or a number is out of range.
    """
    values = flags.FLAGS
    given = {name: getattr(values, name) for name in ("coordinator", "process_index", "process_count")}
    if not values.distributed:
        refuse_several("without --distributed, train", way_out="add --distributed")
    if values.distributed:
        return dataclasses.replace(membership(**given), meeting_seconds=values.meeting_seconds)
    for name, value in given.items():
        if value is not None:
            raise InputError(f"--{name}={value} needs --distributed; add it, or leave --{name} out")
    return ALONE


def membership(
    *,
    coordinator: str | None,
    process_index: int | None,
    process_count: int | None,
    environment: Mapping[str, str] = os.environ,
) -> Membership:
    """Returns the place of this process; environment variables replace what is None.

    Args:
        coordinator: "host:port" of process 0.
        process_index: Index of this process, from 0.
        process_count: Number of processes.
        environment: Environment variables.

    Raises:
        InputError: One of them is missing, or a number is out of range.
    """
    coordinator = coordinator or _first(environment, _COORDINATOR_IN)
    if coordinator is None:
        if "SLURM_STEP_ID" in environment and "OMPI_COMM_WORLD_SIZE" not in environment:
            raise InputError(
                "--distributed under SLURM needs --coordinator=HOST:PORT, the first process's, as launch/slurm.sbatch "
                "gives it; without it JAX would use one GPU a process"
            )
        if process_index is None and process_count is None:
            return FOUND_BY_JAX
        raise InputError("--process_index and --process_count need --coordinator=HOST:PORT, the first process's")
    index = _number(process_index, environment, _INDEX_IN, "--process_index")
    count = _number(process_count, environment, _COUNT_IN, "--process_count")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(f"--coordinator={coordinator} must be HOST:PORT, such as 10.0.0.1:8476")
    if count < 1 or not 0 <= index < count:
        raise InputError(
            f"--process_index={index} of --process_count={count} must lie between 0 and the count less one"
        )
    return Membership(coordinator, index, count)


def refuse_several(command: str, *, way_out: str, environment: Mapping[str, str] = os.environ) -> None:
    """Raises InputError when SLURM or Kubernetes started several processes of a command that runs as one.

    Args:
        command: Start of the message, such as the command's name.
        way_out: What to do instead.
        environment: Environment variables.

    Raises:
        InputError: SLURM or Kubernetes started more than one process.
    """
    count = _first(environment, _COUNT_IN) or "1"
    index = _first(environment, _INDEX_IN) or "0"
    started_as_step = "SLURM_STEP_ID" in environment or "JOB_COMPLETION_INDEX" in environment
    if started_as_step and (count != "1" or index != "0"):
        raise InputError(
            f"{command} runs as one process, which uses all devices of its machine, and this is process {index} of "
            f"several; {way_out}"
        )


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)


def _number(given: int | None, environment: Mapping[str, str], names: tuple[str, ...], flag: str) -> int:
    found = _first(environment, names) if given is None else given
    if found is None:
        raise InputError(f"--coordinator needs {flag}, which neither a flag nor {' nor '.join(names)} says")
    try:
        return int(found)
    except ValueError:
        raise InputError(f"{flag}={found} must be a number") from None
