"""Runs the training and the evaluation of a cell as processes of their own, and ends them in time."""

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
    """Another process took over what this one worked on."""


def run_program(
    arguments: Sequence[str],
    log: Path,
    *,
    stop: StopRequest,
    started: Callable[[int], None],
    beat: Callable[[], bool],
) -> int:
    """Runs a program to its end, or until asked to stop.

    Args:
        arguments: the program and its arguments; no shell sees them.
        log: file that its output is appended to.
        stop: a request is passed on as SIGTERM, once; the program may take its time to save.
        started: told the process's number.
        beat: called all the while; False ends the program.

    Returns:
        Its exit status, negative after a signal that it did not catch.

    Raises:
        Lost: `beat` said so.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # A group of its own: Ctrl-C in a terminal reaches it through this process, not twice.
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
            if process.poll() is None:  # asked a second time to stop, or worse
                process.kill()
                process.wait()
    if lost:
        raise Lost
    return process.returncode


def last_lines(log: Path, count: int = 3) -> str:
    """The end of a log, to say what went wrong."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        lines = file.read().decode(errors="replace").splitlines()
    return " / ".join(line.strip() for line in lines[-count:] if line.strip())


def _end_with_parent() -> Callable[[], None] | None:
    """What a child does before it begins: asks the kernel for SIGTERM when its parent dies, be it by SIGKILL."""
    if not sys.platform.startswith("linux"):
        return None
    # Loaded before the fork: the child only calls.
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0) and None


_PREPARE = _end_with_parent()
