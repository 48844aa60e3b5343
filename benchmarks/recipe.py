"""Trains one variant of the recipe with several seeds: `python -m benchmarks.recipe --trial=NAME --json=FILE`.

Each run is `configs/rendered_wide.py` (or `--config`) with the changes of the trial. It lies in `--runs`, resumes when
the same command is given again, and is not repeated when it is finished. The JSON holds the validation scores of every
run; docs/RECIPE.md compares them.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags, logging

from benchmarks.harness import record
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.config import check

# Changes of the config by the name of the trial.
TRIALS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "adam": {"optimiser.name": "adam", "optimiser.learning_rate": 2e-3},
    "released_weights": {"model.initial_weights": "released"},
    "no_mean": {"optimiser.average_decay": 0.0},
    "long_mean": {"optimiser.average_decay": 0.997},
    "rate_4e-3": {"optimiser.learning_rate": 4e-3},
    "rate_2e-2": {"optimiser.learning_rate": 2e-2},
    "constant_rate": {"optimiser.schedule": "constant", "optimiser.average_decay": 0.997},
    "long_warmup": {"optimiser.warmup_steps": 200},
    "batch_32": {"batch_size": 32, "rounds.minus": 750},
    "batch_8": {"batch_size": 8, "rounds.minus": 3000},
    "no_classes": {"loss.class_weight": 0.0},
    "more_classes": {"loss.class_weight": 1.0},
    "no_dropout": {"model.feature_dropout": 0.0},
    "more_dropout": {"model.feature_dropout": 0.8},
    "noise": {"model.feature_noise": 0.5},
    "one_view": {"data.feature_views": 1},
    "one_frame": {"frames.count": 1},
    "mean_pooling": {"model.visual_pooling": "mean"},
    "max_pooling": {"model.visual_pooling": "max"},
    "no_sigmoid": {"model.visual_activation": "none"},
    "more_maps": {"model.visual_channels": 32},
    "weight_decay": {"optimiser.weight_decay": 0.1},
    "fast_head": {"optimiser.scale.frame_head": 3.0},
    "wide": {"model.unet_features": 24, "rounds.minus": 1000},
    "deep": {"model.unet_depth": 6},
    "shallow": {"model.unet_depth": 4},
    "absolute": {"loss.ratio": "absolute"},
    "binary": {"mask": "binary"},
    "label_noise": {},
}
LABEL_NOISE = 0.05


def main() -> None:
    """Runs the command."""
    path = record.check_file(flags.FLAGS.json)
    trial, folder = flags.FLAGS.trial, flags.FLAGS.runs
    if trial not in TRIALS:
        raise InputError(f"--trial={trial!r} is unknown; use one of {', '.join(TRIALS)}")
    config = check.from_flags()
    config.update_from_flattened_dict(TRIALS[trial])
    check.check(config)
    runs = {}
    with patched(trial):
        for seed in flags.FLAGS.seeds:
            runs[seed] = scores(config, int(seed), folder / f"{trial}-seed{seed}")
            record.write(path, {"trial": trial, "changes": TRIALS[trial], "validation_db": runs} | summary(runs))
    logging.info("%s: %s; numbers: %s", trial, summary(runs), path)


def scores(config: Any, seed: int, workdir: Path) -> dict[str, float]:
    """Trains one run, or what is left of it, and returns its validation scores in dB by step."""
    from mpnet_jax.train import train

    config = config.copy_and_resolve_references()
    config.seed = seed
    if status := train(config, workdir):
        raise SystemExit(status)
    lines = (workdir / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    return {str(line["step"]): line["si_sdr_improvement"] for line in map(json.loads, lines)}


def summary(runs: dict[str, dict[str, float]]) -> dict[str, float]:
    """Returns mean and standard deviation over seeds of the score at the end, which is not the best one."""
    last = [values[max(values, key=int)] for values in runs.values()]
    return {"mean_db": float(np.mean(last)), "deviation_db": float(np.std(last)), "seeds": len(last)}


@contextlib.contextmanager
def patched(trial: str) -> Iterator[None]:
    """Adds what no config field does: noise on the targets of the masks, for "label_noise"."""
    from mpnet_jax.steps import mask_losses

    if trial != "label_noise":
        yield
        return
    targets = dict(mask_losses.TARGETS)
    mask_losses.TARGETS.update({name: noisy(target) for name, target in targets.items()})
    try:
        yield
    finally:
        mask_losses.TARGETS.update(targets)


def noisy(target: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that moves a target towards one half by a random share of at most twice `LABEL_NOISE`."""
    import jax
    import jax.numpy as jnp

    def moved(source: Any, reference: Any) -> Any:
        value = target(source, reference)
        # The noise is a function of the values, so that a resumed run draws the same.
        seed = jax.lax.bitcast_convert_type(jnp.sum(reference, dtype=jnp.float32), jnp.int32)
        share = 2 * LABEL_NOISE * jax.random.uniform(jax.random.key(seed), value.shape)
        return value + share * (0.5 - value)

    return moved


if __name__ == "__main__":
    check.define_flag("configs/rendered_wide.py")
    flags.DEFINE_string("trial", "recipe", "Name of the variant.")
    flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the runs.")
    command.define_path("runs", "runs/recipe", "Folder of the runs.")
    command.define_path("json", None, "File of the results.")
    command.run(main)
