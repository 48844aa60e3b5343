"""Runs the training and the evaluation of a cell as child processes."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mpnet_jax.processes.stop_request import StopRequest

TRAIN = (sys.executable, "-m", "mpnet_jax.train")
EVALUATE = (sys.executable, "-m", "mpnet_jax.evaluate")

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
_POLL_SECONDS = 0.5


class Lost(Exception):
    """Another process took over the run."""


def run_program(
    arguments: Sequence[str],
    log: Path,
    *,
    stop: StopRequest,
    started: Callable[[int], None],
    beat: Callable[[], bool],
) -> int:
    """Runs a program until it exits.

    Args:
        arguments: The program and its arguments, run without a shell.
        log: File to which the output is appended.
        stop: Stop request, passed to the program once as SIGTERM; the program may take time to save.
        started: Called with the process id.
        beat: Called repeatedly; when it returns False, the program is ended.

    Returns:
        Exit status; negative after a signal that the program did not catch.

    Raises:
        Lost: `beat` returned False.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # In its own process group, since this process passes Ctrl-C on.
        process = subprocess.Popen(  # noqa: S603
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0, preexec_fn=_PREPARE
        )
        started(process.pid)
        began = time.monotonic()
        asked, lost = False, False
        try:
            while process.poll() is None:
                lost = lost or not beat()
                if (lost or stop.signal_name is not None) and not asked:
                    process.send_signal(signal.SIGTERM)
                    asked = True
                time.sleep(min(_POLL_SECONDS, 0.02 + 0.1 * (time.monotonic() - began)))
        finally:
            if process.poll() is None:  # after a second stop request, or an error
                process.kill()
                process.wait()
    if lost:
        raise Lost
    return process.returncode


def last_lines(log: Path, count: int = 3) -> str:
    """Returns the last lines of a log, for an error message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        lines = file.read().decode(errors="replace").splitlines()
    return " / ".join(line.strip() for line in lines[-count:] if line.strip())


def _end_with_parent() -> Callable[[], None] | None:
    """Returns a function for a child process that requests SIGTERM when the parent dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    # Loaded before the fork, after which the child must not import.
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0) and None


_PREPARE = _end_with_parent()
