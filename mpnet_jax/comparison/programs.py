"""Runs commands as child processes, which save and end when this process is asked to stop or is killed."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO, NamedTuple

from mpnet_jax.processes.stop_request import StopRequest

# The C library, loaded before a fork, after which the child must not import.
_LIBRARY = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
_LONGEST_PAUSE_SECONDS = 0.5


class Programs(NamedTuple):
    """The programs of a comparison, each with its first arguments."""

    train: Sequence[str]
    evaluate: Sequence[str]
    compare: Sequence[str]


INSTALLED = Programs(*((sys.executable, "-m", f"mpnet_jax.{name}") for name in Programs._fields))


def run_all(
    commands: Sequence[Sequence[str]],
    *,
    stop: StopRequest,
    at_once: int = 1,
    output: IO[bytes] | None = None,
    kept_open: Sequence[int] = (),
) -> list[int]:
    """Runs commands without a shell, each in its own process group, since this process passes Ctrl-C on.

    Args:
        commands: Programs with their arguments.
        stop: Stop request, passed on once as SIGTERM; the programs may take time to save, and no other is begun.
        at_once: Number of commands that run at the same time; several ones run on one core each (Linux).
        output: File for their output; None for that of this process.
        kept_open: Descriptors of files that they keep open.

    Returns:
        Exit statuses in the order of the ends, negative after a signal that a program did not catch.
    """
    waiting, statuses = list(commands), list[int]()
    running: dict[int, subprocess.Popen[bytes]] = {}
    asked, began = False, time.monotonic()
    try:
        while running or (waiting and not asked):
            for place in range(at_once):
                if place not in running and waiting and not asked:
                    running[place] = subprocess.Popen(  # noqa: S603
                        waiting.pop(0),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        pass_fds=kept_open,
                        process_group=0,
                        preexec_fn=_end_with_parent,
                    )
                    if at_once > 1 and sys.platform.startswith("linux"):
                        cores = sorted(os.sched_getaffinity(0))
                        os.sched_setaffinity(running[place].pid, {cores[place % len(cores)]})
            time.sleep(min(_LONGEST_PAUSE_SECONDS, 0.02 + 0.1 * (time.monotonic() - began)))
            if stop.signal_name is not None and not asked:
                asked = True
                for process in running.values():
                    process.send_signal(signal.SIGTERM)
            statuses += [status for process in running.values() if (status := process.poll()) is not None]
            running = {place: process for place, process in running.items() if process.returncode is None}
    finally:
        for process in running.values():  # after a second Ctrl-C, or an error
            process.kill()
            process.wait()
    return statuses


def _end_with_parent() -> None:
    """Lets this process get SIGTERM when its parent dies (Linux)."""
    if _LIBRARY is not None:
        _LIBRARY.prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)
