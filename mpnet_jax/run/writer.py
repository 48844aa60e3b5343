"""Keeps what a training run leaves in its workdir: checkpoints, losses, scores, TensorBoard."""

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
    """The one that writes to a workdir; of several processes, the first has it and no other does.

    Args:
        workdir: of the run.
        rate_hz: of its sounds.
    """

    def __init__(self, workdir: Path, *, rate_hz: int) -> None:
        self._workdir = workdir
        self._rate_hz = rate_hz
        self._checkpoints = Checkpoints(workdir)
        self._log = RunLog(workdir)
        self._session_noted = False
        self._summaries: Summaries | None = None

    def step(self) -> int | None:
        """Step of the last checkpoint; None where there is none."""
        return self._checkpoints.step("latest")

    def restore(self, template: TrainState) -> TrainState:
        """The last checkpoint's state, on the host; see `Checkpoints.restore`."""
        return self._checkpoints.restore(template, kind="latest")

    def begin(self, step: int) -> None:
        """Cuts the logs back to a step, so that every step stands in them once, and opens TensorBoard's."""
        self._log.cut_to(step)
        self._summaries = Summaries(self._workdir, rate_hz=self._rate_hz)

    def seconds(self) -> float:
        """Time spent in training so far, over all sessions of this run."""
        return self._log.seconds()

    def losses(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Keeps one line a step, and with the first who makes them: a session without steps made nothing."""
        if not self._session_noted:
            self._log.session({"step": lines[0]["step"]} | run_facts())
            self._session_noted = True
        self._log.losses(lines)
        last = dict(lines[-1])
        self._opened().scalars(last.pop("step"), last)

    def validation(self, step: int, score: float, state: TrainState, *, method: str) -> None:
        """Keeps a score, and the (replicated) state that has it where none of its method was better."""
        self._log.validation({"step": step, "si_sdr_improvement": score})
        self._opened().scalars(step, {"validation_si_sdr_improvement": score})
        best = self._checkpoints.best_score(method)
        logging.info("step %d: validation SI-SDR improvement %.2f dB (best so far %.2f)", step, score, best)
        if score > best:
            self._checkpoints.save_best(unreplicate(state), score, method=method)

    def mixtures(self, step: int, shown: Iterable[SeparatedMixture]) -> None:
        """Keeps pictures and sounds of mixtures."""
        for mixture in shown:
            self._opened().mixture(step, mixture)
        self._opened().flush()

    def checkpoint(self, step: int, state: TrainState, seconds: float) -> None:
        """Starts to write a (replicated) state, and notes the time spent so far."""
        self._checkpoints.save(unreplicate(state))
        self._log.write_seconds(step, seconds)

    def close(self) -> None:
        """Returns when all is on disk."""
        self._checkpoints.close()
        if self._summaries is not None:
            self._summaries.close()

    def _opened(self) -> Summaries:
        assert self._summaries is not None, "begin comes first"
        return self._summaries
