"""Progress lines of a training run."""

import time

from absl import logging


class Meter:
    """Logs speed, share of the time spent waiting for data, and time left.

    Attributes:
        waited: Seconds spent waiting for data; the caller adds to it.

    Args:
        steps: Number of steps of the run.
        batch_size: Mixtures in a step.
        first_step: Steps done before this session.
        seconds_before: Training time before this session.
    """

    def __init__(self, *, steps: int, batch_size: int, first_step: int, seconds_before: float) -> None:
        self.waited = 0.0
        self._steps = steps
        self._batch_size = batch_size
        self._start = time.monotonic()
        self._seconds_before = seconds_before
        self._last = (first_step, self._start, 0.0)
        self._first_timed: tuple[int, float] | None = None

    def total_seconds(self) -> float:
        """Returns the training time of the run, including earlier sessions."""
        return self._seconds_before + time.monotonic() - self._start

    def report(self, step: int, loss: float) -> None:
        """Logs one line about the steps since the last call."""
        now = time.monotonic()
        last_step, last_time, last_waited = self._last
        seconds = max(now - last_time, 1e-9)
        self._last = (step, now, self.waited)
        # The first interval includes compilation, so the time left is estimated from later ones.
        if self._first_timed is None:
            self._first_timed = (step, now)
            left = "..."
        else:
            timed_step, timed_since = self._first_timed
            per_step = (now - timed_since) / max(step - timed_step, 1)
            left = _minutes(per_step * (self._steps - step))
        logging.info(
            "step %d/%d  loss %.4f  %.1f mixtures/s  waiting for data %.0f %%  time left %s",
            step,
            self._steps,
            loss,
            (step - last_step) * self._batch_size / seconds,
            100 * (self.waited - last_waited) / seconds,
            left,
        )


def _minutes(seconds: float) -> str:
    minutes, remainder = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{remainder:02d}" if hours else f"{minutes}:{remainder:02d}"
