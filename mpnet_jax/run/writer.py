"""Writes the files of a training run: checkpoints, losses, scores and TensorBoard summaries."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from mpnet_jax.parallel import unreplicate
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.run.facts import run_facts
from mpnet_jax.run.log import RunLog
from mpnet_jax.run.summaries import Summaries
from mpnet_jax.steps.separated_mixtures import SeparatedMixture
from mpnet_jax.steps.train_state import TrainState


class RunWriter:
    """Writes to the workdir of a run; of several processes, only the first one has a writer.

    Args:
        workdir: Folder of the run.
        rate_hz: Sample rate of the sounds.
    """

    def __init__(self, workdir: Path, *, rate_hz: int) -> None:
        self._workdir = workdir
        self._rate_hz = rate_hz
        self._checkpoints = Checkpoints(workdir)
        self._log = RunLog(workdir)
        self._session_noted = False
        self._summaries: Summaries | None = None

    def step(self) -> int | None:
        """Returns the step of the latest checkpoint, or None without one."""
        return self._checkpoints.step("latest")

    def restore(self, template: TrainState) -> TrainState:
        """Restores the latest checkpoint onto the host; see `Checkpoints.restore`."""
        return self._checkpoints.restore(template, kind="latest")

    def begin(self, step: int) -> None:
        """Cuts the logs back to a step, so that no step occurs twice, and opens the TensorBoard file."""
        self._log.cut_to(step)
        self._summaries = Summaries(self._workdir, rate_hz=self._rate_hz)

    def seconds(self) -> float:
        """Returns the training time so far, over all sessions of this run."""
        return self._log.seconds()

    def losses(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Logs one line for each step; the first call also logs the session, so one without steps leaves no line."""
        if not self._session_noted:
            self._log.session({"step": lines[0]["step"]} | run_facts())
            self._session_noted = True
        self._log.losses(lines)
        last = dict(lines[-1])
        self._opened().scalars(last.pop("step"), last)

    def validation(self, step: int, score: float, state: TrainState, *, method: str) -> None:
        """Logs a validation score, and saves the (replicated) state if it is the best of its method."""
        self._log.validation({"step": step, "si_sdr_improvement": score})
        self._opened().scalars(step, {"validation_si_sdr_improvement": score})
        best = self._checkpoints.best_score(method)
        logging.info("step %d: validation SI-SDR improvement %.2f dB (best so far %.2f)", step, score, best)
        if score > best:
            self._checkpoints.save_best(unreplicate(state).settled(), score, method=method)

    def mixtures(self, step: int, shown: Iterable[SeparatedMixture]) -> None:
        """Writes masks and sounds of mixtures to TensorBoard."""
        for mixture in shown:
            self._opened().mixture(step, mixture)
        self._opened().flush()

    def checkpoint(self, step: int, state: TrainState, seconds: float) -> None:
        """Starts to save a (replicated) state, and logs the training time."""
        self._checkpoints.save(unreplicate(state))
        self._log.write_seconds(step, seconds)

    def close(self) -> None:
        """Waits until everything is on disk, and closes the files."""
        self._checkpoints.close()
        if self._summaries is not None:
            self._summaries.close()

    def _opened(self) -> Summaries:
        assert self._summaries is not None, "begin comes first"
        return self._summaries
