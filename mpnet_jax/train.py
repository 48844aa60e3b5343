"""Trains a model: `python -m mpnet_jax.train --config=configs/quickstart.py [--workdir=runs/quickstart]`.

The workdir is never emptied: a run in it resumes from its last checkpoint, and a run with another config is refused.
Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint before the command ends. With `--distributed`, several processes train
together: each computes its share of every step, and only the first one writes files.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags, logging

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.config import check as config_module
from mpnet_jax.config import saved_config
from mpnet_jax.config.rounds import Round
from mpnet_jax.config.specs import Config
from mpnet_jax.processes import membership
from mpnet_jax.processes.stop_request import StopRequest
from mpnet_jax.run.data import TRAINING_SPLITS, note_records, open_splits, refuse_too_few_clips, validation_share
from mpnet_jax.run.facts import this_command
from mpnet_jax.run.meter import Meter

if TYPE_CHECKING:
    from mpnet_jax.methods.registry import Method
    from mpnet_jax.run.writer import RunWriter
    from mpnet_jax.steps.train_state import TrainState

EXAMPLE_MIXTURES = 2  # shown in TensorBoard

# JAX and TensorFlow are imported inside functions: importing them takes seconds, and a wrong flag is refused before.


def main() -> None:
    """Runs the command."""
    config = config_module.from_flags()
    workdir = flags.FLAGS.workdir or Path(f"runs/{config.name}")
    member = membership.from_flags()
    with StopRequest(at_once=True) as stop:
        from mpnet_jax.processes import joining

        with joining.joined(member):
            status = train(config, workdir, stop)
    if status:
        sys.exit(status)
    evaluation = command.command_line("mpnet_jax.evaluate", *config_module.given_flags(), f"--workdir={workdir}")
    logging.info("evaluate with: %s", evaluation)


def train(config: Config, workdir: Path, stop: StopRequest | None = None) -> int:
    """Trains all rounds, from the workdir's last checkpoint if there is one.

    Args:
        config: A checked config.
        workdir: Folder of the run; created when missing.
        stop: Request to stop by a signal. Before the training loop a signal ends the process at once; in the loop the
            run saves a checkpoint first.

    Returns:
        Exit status: 0 at the end, 128 + signal number after a request to stop.

    Raises:
        InputError: The data, devices or workdir do not fit the config, or the loss is not finite.
    """
    stop = stop or StopRequest()
    # 1. Refuse bad input before anything slow.
    recorded = saved_config.read_recorded(workdir)
    if recorded is not None:
        saved_config.refuse_other(recorded, config, workdir)
    from mpnet_jax import parallel
    from mpnet_jax.methods.registry import method_of
    from mpnet_jax.processes import environment

    environment.prepare()
    method = method_of(config)
    stores = open_splits(method.data, TRAINING_SPLITS, keep_pictures=True)
    for store in stores.values():
        method.check_classes(store.classes, store.folder)
    parallel.check_batch(config.batch_size, field="batch_size")
    method.check_processes(parallel.process_place()[1])
    refuse_too_few_clips(method.data, stores)

    # 2. The first process creates or checks the workdir.
    if parallel.is_first():
        saved_config.claim_workdir(workdir, config)
        note_records(method.data, workdir, stores)
    from mpnet_jax.run.writer import RunWriter

    writer = RunWriter(workdir, rate_hz=method.audio.rate_hz) if parallel.is_first() else None
    try:
        # 3. Initialise the state, or restore it from the last checkpoint.
        state = first_state(method, workdir, writer)
        # 4. Prepare the batches.
        method.keep_features(state, stores)
        validation = validation_share(method.data, method.evaluation, stores, workdir)
        batches_from = method.training_batches(workdir, stores["train"])
        # 5. Cut the logs back to the step of that state.
        if writer is not None:
            writer.begin(int(state.step))
        # 6. Train.
        stop.at_once = False
        loop = _Loop(method, batches_from, method.completion(workdir), validation, writer, stop)
        loop.run(state)
    finally:
        if writer is not None:
            writer.close()
    if loop.stopped_by:
        name = signal.Signals(loop.stopped_by).name
        logging.info("%s: saved step %d; resume with: %s", name, loop.step, this_command())
        return 128 + loop.stopped_by  # the shell's convention
    logging.info("trained %d steps", loop.step)
    return 0


def first_state(method: "Method", workdir: Path, writer: "RunWriter | None") -> "TrainState":
    """Returns the training state to continue from, as host arrays; process 0 restores or makes it and broadcasts it."""
    import numpy as np

    from mpnet_jax import parallel

    saved = None if writer is None else writer.step()
    step = int(parallel.of_first(np.int32(-1 if saved is None else saved)))
    state = method.state_at(max(step, 0))
    describe(state)
    if step >= 0:
        if writer is not None:
            state = writer.restore(state)
        logging.info("resuming from step %d in %s", step, workdir)
    elif method.config.start_from:
        if writer is not None:
            state = method.started_from(state)
    else:
        logging.info("%s", method.start)
    return parallel.of_first(state)


def describe(state: "TrainState") -> None:
    """Logs the number of parameters of each network and the devices."""
    import jax

    sizes = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in state.params.items()}
    logging.info(
        "%s; %d %s device(s) of %d process(es)",
        ", ".join(f"{name}: {size:,} parameters" for name, size in sizes.items()),
        jax.device_count(),
        jax.default_backend(),
        jax.process_count(),
    )


class _Loop:
    """The training loop: runs the steps, and logs, validates and saves at intervals.

    Attributes:
        step: Number of steps done.
        stopped_by: Number of the signal that stopped the loop, whichever process received it; 0 without one.
    """

    def __init__(
        self,
        method: "Method",
        batches_from: Callable[..., Iterator[Any]],
        complete: Callable[[Any], Any],
        validation: list[Any],
        writer: "RunWriter | None",
        stop: StopRequest,
    ) -> None:
        from mpnet_jax.parallel import LargestOfAll

        self._method, self._config = method, method.config
        self._batches_from = batches_from
        self._complete = complete
        self._validation = validation
        self._writer = writer
        self._stop = stop
        self._signal_of_any = LargestOfAll()
        self.step = 0
        self.stopped_by = 0

    def run(self, state: "TrainState") -> None:
        """Runs the remaining rounds from a (host) state, or until a signal stops them."""
        rounds = self._method.rounds
        self.step = first_step = int(state.step)
        batches = self._batches_from(first_step=first_step)
        meter = Meter(
            steps=rounds[-1].last_step,
            batch_size=self._config.batch_size,
            first_step=first_step,
            seconds_before=0.0 if self._writer is None else self._writer.seconds(),
        )
        for each in rounds:
            if self.step < each.last_step and not self.stopped_by:
                if self.step == each.first_step:
                    state = self._method.begin(state, each)
                state = self._run_round(each, state, batches, meter)

    def _run_round(self, each: Round, state: "TrainState", batches: Iterator[Any], meter: Meter) -> "TrainState":
        """Runs one round to its end, or until a signal stops it; takes and returns a state on the host."""
        from mpnet_jax import parallel

        logging.info("round %s: steps %d to %d train %s", each.name, self.step + 1, each.last_step, each.trained)
        train_step = parallel.parallel_step(self._method.train_step(each))
        separate = parallel.parallel_map(self._method.separate_step(each.result))
        on_devices = parallel.replicate(state)
        pending: list[Any] = []
        while self.step < each.last_step and not self._stop_requested():
            waiting_since = time.monotonic()
            batch = parallel.shard(next(batches))
            meter.waited += time.monotonic() - waiting_since
            on_devices, metrics = train_step(on_devices, batch)
            self.step += 1
            pending.append(metrics)
            due = self._due(each)
            if due or self.step % self._config.log_every == 0:
                self._flush(pending, meter)
            if "validate" in due:
                self._validate(separate, on_devices, each)
            if "summary" in due:
                self._show(separate, on_devices)
            if "checkpoint" in due:
                self._save(on_devices, meter)
        self._flush(pending, meter)
        self._save(on_devices, meter)
        return parallel.unreplicate(on_devices)

    def _stop_requested(self) -> bool:
        """Returns whether any process received a signal; all processes agree on it before the same step."""
        self.stopped_by = self._signal_of_any(self._stop.number)
        return self.stopped_by > 0

    def _due(self, each: Round) -> set[str]:
        every = {
            "validate": self._config.validate_every,
            "summary": self._config.summary_every,
            "checkpoint": self._config.checkpoint_every,
        }
        return {name for name, steps in every.items() if self.step % steps == 0 or self.step == each.last_step}

    def _flush(self, pending: list[Any], meter: Meter) -> None:
        """Logs the metrics of the steps since the last flush; only here does the host wait for the devices."""
        from mpnet_jax.parallel import unreplicate

        if not pending:
            return
        first = self.step - len(pending) + 1
        lines = [
            {"step": first + i} | {name: float(value) for name, value in unreplicate(metrics).items()}
            for i, metrics in enumerate(pending)
        ]
        pending.clear()
        for line in lines:
            if not all(abs(value) < float("inf") for value in line.values()):
                raise InputError(
                    f"the loss is not finite at step {line['step']} ({line}); the last checkpoint is kept; "
                    "lower config.optimiser.learning_rate or look at the data"
                )
        if self._writer is not None:
            self._writer.losses(lines)
        meter.report(self.step, lines[-1]["loss"])

    def _validate(self, separate: Any, state: Any, each: Round) -> None:
        from mpnet_jax.steps.device_pass import Separator
        from mpnet_jax.steps.separated_mixtures import validation_score

        score = validation_score(Separator(separate, self._complete(state.variables)), self._validation)
        if self._writer is not None:
            self._writer.validation(self.step, score, state, method=each.result)

    def _show(self, separate: Any, state: Any) -> None:
        from mpnet_jax.steps.device_pass import Separator
        from mpnet_jax.steps.separated_mixtures import separate_mixtures

        separated = separate_mixtures(Separator(separate, self._complete(state.variables)), self._validation[:1])
        shown = [mixture for _, mixture in zip(range(EXAMPLE_MIXTURES), separated, strict=False)]
        if self._writer is not None:
            self._writer.mixtures(self.step, shown)

    def _save(self, state: Any, meter: Meter) -> None:
        if self._writer is not None:
            self._writer.checkpoint(self.step, state, meter.total_seconds())


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    config_module.define_flag("quickstart")
    command.define_path("workdir", None, "Folder of the run; runs/<config.name> by default.")
    membership.define_flags()
    command.run(main)
