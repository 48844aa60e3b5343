"""Trains a model: `python -m mpnet_jax.train --config=configs/quickstart.py [--workdir=runs/quickstart]`.

The workdir is never emptied: a run in it goes on where its last checkpoint stands, and one of another config is
refused. Ctrl-C and SIGTERM save first.
"""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags, logging
from ml_collections import config_flags

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax import config as config_module
from mpnet_jax.config import Config
from mpnet_jax.meter import Meter
from mpnet_jax.run_data import mixture_list, open_splits
from mpnet_jax.run_log import RunLog
from mpnet_jax.stop_request import StopRequest

if TYPE_CHECKING:
    from mpnet_jax.train_state import TrainState

EXAMPLE_MIXTURES = 2  # shown in TensorBoard

# JAX and TensorFlow are imported inside functions: a wrong flag is refused before seconds go into them.


def main() -> None:
    """The command."""
    config = config_module.from_flags()
    workdir = Path(flags.FLAGS.workdir or f"runs/{config.name}")
    status = train(config, workdir)
    if status:
        sys.exit(status)


def train(config: Config, workdir: Path) -> int:
    """Trains up to `config.steps`, from the workdir's last checkpoint if there is one.

    Args:
        config: checked.
        workdir: made when missing.

    Returns:
        Exit status: 0 at the end, 128 + signal after a request to stop.

    Raises:
        InputError: data, devices or workdir do not fit the config; the loss is no longer finite.
    """
    # 1. Everything that can be refused is looked at before anything slow.
    recorded = config_module.read_recorded(workdir)
    if recorded is not None:
        config_module.refuse_other(recorded, config, workdir)
    stores = open_splits(config, ("train", "validation"))
    from mpnet_jax import compilation_cache, from_config, parallel

    compilation_cache.enable()
    parallel.check_batch(config.batch_size, field="batch_size")
    parallel.check_batch(config.evaluation.batch_size, field="evaluation.batch_size")
    validation = prepare_validation(config, stores, workdir)

    # 2. The state: new, or the last checkpoint's.
    from mpnet_jax.checkpoint import Checkpoints

    checkpoints = Checkpoints(workdir)
    state = from_config.initial_state(config)
    describe(state)
    if checkpoints.latest_step() is not None:
        state = checkpoints.restore(state, kind="latest")
        logging.info("going on from step %d in %s", int(state.step), workdir)
    first_step = int(state.step)

    # 3. The logs are cut back to that state, so that every step stands in them once.
    log = RunLog(workdir)
    log.cut_to(first_step)

    # 4. The loop.
    try:
        with StopRequest() as stop:
            loop = _Loop(config, workdir, stores["train"], validation, checkpoints, log, stop)
            loop.run(parallel.replicate(state), first_step)
    finally:
        checkpoints.close()
    if stop.signal_name is not None:
        logging.info(
            "%s: saved step %d; go on with: python -m mpnet_jax.train %s",
            stop.signal_name,
            loop.step,
            " ".join(sys.argv[1:]),
        )
        return stop.exit_status
    logging.info("trained %d steps; evaluate with: python -m mpnet_jax.evaluate %s", loop.step, " ".join(sys.argv[1:]))
    return 0


def prepare_validation(config: Config, stores: dict[str, Any], workdir: Path) -> list[Any]:
    """Claims the workdir and reads the fixed validation mixtures, once for the whole run."""
    from data_pipeline.loader import evaluation_batches
    from data_pipeline.mixing import ClipTable

    audio = config_module.audio_spec(config)
    for store in stores.values():  # too few clips are refused before the workdir is made
        ClipTable(store.clips, audio, sources=config.mixing.sources, same_class=config.mixing.same_class)
    config_module.claim_workdir(workdir, config)
    mixtures = mixture_list(config, workdir, stores["validation"], "validation")
    return list(
        evaluation_batches(
            stores["validation"],
            mixtures,
            audio=audio,
            frames=config_module.frame_spec(config),
            batch_size=config.evaluation.batch_size,
        )
    )


def describe(state: "TrainState") -> None:
    """Logs what is about to be trained."""
    import jax

    sizes = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in state.params.items()}
    logging.info(
        "%s; %d %s device(s)",
        ", ".join(f"{name}: {size:,} parameters" for name, size in sizes.items()),
        jax.device_count(),
        jax.default_backend(),
    )
    logging.info("the frame network starts from random weights, not from ImageNet's")


class _Loop:
    """The training loop: takes a batch, runs a step, and now and then logs, validates and saves."""

    def __init__(
        self,
        config: Config,
        workdir: Path,
        store: Any,
        validation: list[Any],
        checkpoints: Any,
        log: RunLog,
        stop: StopRequest,
    ) -> None:
        from mpnet_jax import from_config, parallel
        from mpnet_jax.summaries import Summaries

        self._config = config
        self._store = store
        self._validation = validation
        self._checkpoints = checkpoints
        self._log = log
        self._stop = stop
        self._summaries = Summaries(workdir, rate_hz=config.audio.rate_hz)
        self._train_step = parallel.parallel_step(from_config.train_step(config))
        self._separate = parallel.parallel_map(from_config.separate_step(config))
        self.step = 0

    def run(self, state: Any, first_step: int) -> None:
        """Runs from `first_step` (steps done) to the config's last step, or until asked to stop."""
        from data_pipeline.loader import training_batches
        from mpnet_jax.parallel import shard

        config = self._config
        batches = training_batches(
            self._store,
            audio=config_module.audio_spec(config),
            frames=config_module.frame_spec(config),
            mixing=config_module.mixing_spec(config),
            batch_size=config.batch_size,
            seed=config.seed,
            first_step=first_step,
        )
        self.step = first_step
        meter = Meter(config, first_step, self._log.seconds())
        pending: list[Any] = []
        while self.step < config.steps and self._stop.signal_name is None:
            waiting_since = time.monotonic()
            batch = shard(next(batches))
            meter.waited += time.monotonic() - waiting_since
            state, metrics = self._train_step(state, batch)
            self.step += 1
            pending.append(metrics)
            due = self._due()
            if due or self._is_last() or self.step % config.log_every == 0:
                self._flush(pending, meter)
            if "validate" in due:
                self._validate(state)
            if "summary" in due:
                self._show(state)
            if "checkpoint" in due:
                self._save(state, meter)
        self._flush(pending, meter)
        if self.step > first_step:
            self._save(state, meter)
        self._checkpoints.wait()
        self._summaries.close()

    def _is_last(self) -> bool:
        return self.step == self._config.steps

    def _due(self) -> set[str]:
        every = {
            "validate": self._config.validate_every,
            "summary": self._config.summary_every,
            "checkpoint": self._config.checkpoint_every,
        }
        return {name for name, steps in every.items() if self.step % steps == 0 or self._is_last()}

    def _flush(self, pending: list[Any], meter: Meter) -> None:
        """Fetches the metrics of the steps since the last flush: the only place where the host waits for them."""
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
                kept = self._checkpoints.latest_step()
                raise InputError(
                    f"the loss is not finite at step {line['step']} ({line}); the checkpoint of step {kept} is kept; "
                    "lower config.optimiser.learning_rate or look at the data"
                )
        self._log.losses(lines)
        self._summaries.scalars(self.step, {name: value for name, value in lines[-1].items() if name != "step"})
        meter.report(self.step, lines[-1]["loss"])

    def _validate(self, state: Any) -> None:
        from mpnet_jax.evaluation import validation_score
        from mpnet_jax.parallel import unreplicate

        score = validation_score(self._separate, state.variables, self._validation)
        self._log.validation({"step": self.step, "si_sdr_improvement": score})
        self._summaries.scalars(self.step, {"validation_si_sdr_improvement": score})
        best = self._checkpoints.best_score()
        logging.info("step %d: validation SI-SDR improvement %.2f dB (best so far %.2f)", self.step, score, best)
        if score > best:
            self._checkpoints.save_best(unreplicate(state), score)

    def _show(self, state: Any) -> None:
        from mpnet_jax.evaluation import separate_mixtures

        shown = separate_mixtures(self._separate, state.variables, self._validation[:1])
        for _, mixture in zip(range(EXAMPLE_MIXTURES), shown, strict=False):
            self._summaries.mixture(self.step, mixture)
        self._summaries.flush()

    def _save(self, state: Any, meter: Meter) -> None:
        from mpnet_jax.parallel import unreplicate

        self._checkpoints.save(unreplicate(state))
        self._log.write_seconds(self.step, meter.total_seconds())


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    config_flags.DEFINE_config_file("config", "configs/quickstart.py", "Config file; fields by --config.field=value.")
    flags.DEFINE_string("workdir", None, "Folder of the run; runs/<config.name> by default.")
    command.run(main)
