"""Detects other load on the machine, beside which a measured time is meaningless."""

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from absl import logging

ALLOWED_CORES = 0.15  # the operating system itself takes about a tenth of this
_LOOK_SECONDS = 1.0

Result = TypeVar("Result")


def busy_seconds() -> float:
    """Returns the CPU time of all processes since boot; 0 where the operating system does not report it."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.read_text(encoding="utf-8").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Quiet:
    """Runs measurements while the machine is otherwise idle, as long as its patience lasts.

    Attributes:
        disturbed: Number of disturbed measurements that were kept.

    Args:
        patience_seconds: Total time for waiting and for measurements that are discarded.
    """

    def __init__(self, patience_seconds: float) -> None:
        self.disturbed = 0
        self._patience = patience_seconds

    def run(self, measure: Callable[[], Result], own_cpu_seconds: Callable[[], float]) -> Result:
        """Repeats a measurement until other processes took at most `ALLOWED_CORES`; returns its result.

        Args:
            measure: Measurement to run.
            own_cpu_seconds: Returns the CPU time so far of the process that runs it.
        """
        while True:
            started = time.monotonic()
            while time.monotonic() - started < self._patience:
                if not _beside_others(functools.partial(time.sleep, _LOOK_SECONDS), lambda: 0.0)[1]:
                    break
            self._patience -= max(time.monotonic() - started - _LOOK_SECONDS, 0.0)
            started = time.monotonic()
            result, disturbed = _beside_others(measure, own_cpu_seconds)
            if not disturbed:
                return result
            self._patience -= time.monotonic() - started
            if self._patience <= 0:
                self.disturbed += 1
                logging.warning("other processes run on this machine: this time is disturbed")
                return result


def _beside_others(measure: Callable[[], Result], own_cpu_seconds: Callable[[], float]) -> tuple[Result, bool]:
    """Returns the result of a run, and whether other processes took more than is allowed."""
    clock, busy, own = time.monotonic(), busy_seconds(), own_cpu_seconds()
    result = measure()
    others = (busy_seconds() - busy) - (own_cpu_seconds() - own)
    return result, others > ALLOWED_CORES * (time.monotonic() - clock) + 0.02  # /proc/stat counts in hundredths
