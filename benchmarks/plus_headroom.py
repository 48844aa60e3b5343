"""Bounds the gain of a Plus-Net: `python -m benchmarks.plus_headroom --workdir=RUN --json=FILE [--sources=2]`.

Separates the run's validation mixtures with its latest networks and ratio masks in three ways:

* `minus`: the Minus-Net alone.
* `learnt`: with the residuals of the run's Plus-Net.
* `perfect`: with the residuals of a perfect Plus-Net, which restores all that a sound lacks and earlier sounds took.

The gain of `perfect` is what the Minus-Net's errors leave to the Plus-Net; the gain of `learnt` is the part it found.
Two more ways use no network: the true masks of a Minus-Net in the true order (`true_minus`), and those with a perfect
Plus-Net (`true_both`). All scores are also given separately for mixtures whose sounds were taken in the true order of
loudness and for the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags, logging
from jaxtyping import Array

from benchmarks.harness import record
from benchmarks.harness.mixture_scores import MIXTURE, variant_means
from data_pipeline import command
from data_pipeline.command import InputError
from data_pipeline.loader import evaluation_batches
from mpnet_jax.config import saved_config
from mpnet_jax.methods.mpnet import MinusPlus
from mpnet_jax.methods.registry import method_of
from mpnet_jax.metrics.aggregate import summarise
from mpnet_jax.metrics.workers import Job, score_mixtures
from mpnet_jax.recursion.minus_plus import by_candidate, energy_order
from mpnet_jax.recursion.networks import Batch, separate_clips
from mpnet_jax.recursion.rules import EPSILON
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.run.data import open_splits, split_list
from mpnet_jax.run.facts import this_command
from mpnet_jax.steps.device_pass import HostBatch, Separator
from mpnet_jax.steps.mask_losses import ratio_target
from mpnet_jax.steps.separate_step import waveforms
from mpnet_jax.steps.separated_mixtures import device_inputs
from mpnet_jax.weights.trained import TrainedNetworks

# The variants to score, each with the variant that it is compared to.
VARIANTS = {
    "minus": "minus",
    "learnt": "minus",
    "perfect": "minus",
    "true_minus": "true_minus",
    "true_both": "true_minus",
}
IN_ORDER = "in_order"


def perfect_share(truth: Array, solo: Array, remix: Array, mixture: Array) -> Array:
    """Returns a sound's share of the mixture with a perfect Plus-Net; all arrays are linear magnitudes of one shape.

    Args:
        truth: True sound.
        solo: Sound taken by the Minus-Net.
        remix: Sounds taken in earlier steps, from which the Plus-Net restores.
        mixture: Mixture S_0.
    """
    wanted = ratio_target(truth, mixture) * mixture
    return (solo + jnp.clip(wanted - solo, 0.0, remix)) / jnp.maximum(mixture, EPSILON)


def true_sounds(truth: Array, mixture: Array) -> Array:
    """Returns the sounds that a Minus-Net with true masks takes: each one as far as the remaining mixture holds it.

    Args:
        truth: True sounds (step, batch, freq, time) in the order of the steps.
        mixture: Mixture (batch, freq, time).
    """

    def step(left: Array, sound: Array) -> tuple[Array, Array]:
        taken = jnp.minimum(sound, left)
        return left - taken, taken

    return jax.lax.scan(step, mixture, truth)[1]


def all_ways(method: MinusPlus) -> Callable[[dict[str, Any], Batch], dict[str, Array]]:
    """Builds the pass of one device, which returns the waveforms (batch, source, samples) of every variant."""
    model, axis, audio, rules = method.model(), method.axis, method.audio, method.rules()

    def run(variables: dict[str, Any], batch: Batch) -> dict[str, Array]:
        linear = batch["mixture_magnitude"]
        mixture = axis.warp(linear + rules.floor)
        separation = separate_clips(model, variables, batch, mixture, rules=rules, with_plus=True)
        count = batch["frames"].shape[1]
        sources = axis.warp(batch["source_magnitude"])

        def in_order(chosen: Array) -> Array:
            return jnp.take_along_axis(sources, chosen.T[:, :, None, None], axis=1).swapaxes(0, 1)

        chosen, true_order = separation.chosen, energy_order(sources).T
        truth, by_loudness = in_order(chosen), in_order(true_order)
        solo = separation.masks * rules.reference(separation.before, mixture)
        whole = jnp.maximum(mixture, EPSILON)
        shares = {
            "minus": (chosen, solo / whole),
            "learnt": (chosen, separation.sounds / whole),
            "perfect": (chosen, perfect_share(truth, solo, separation.remixes[: len(truth)], mixture)),
            "true_minus": (true_order, true_sounds(by_loudness, mixture) / whole),
            "true_both": (true_order, ratio_target(by_loudness, mixture)),
        }
        return {IN_ORDER: jnp.all(chosen == true_order, axis=0)} | {
            name: waveforms(
                axis.unwarp(jnp.clip(by_candidate(share, order, count), 0.0, 1.0)) * linear[:, None],
                batch["mixture_phase"],
                audio,
            )
            for name, (order, share) in shares.items()
        }

    return run


def main() -> None:
    """Runs the analysis."""
    values = flags.FLAGS
    file = record.check_file(values.json)
    workdir = values.workdir or Path()
    config = saved_config.restored(saved_config.require_recorded(workdir), workdir / "config.json")
    config.data.directory = str(values.data_dir)
    checkpoints = Checkpoints(workdir, read_only=True)
    method = method_of(config)
    networks = TrainedNetworks(method, checkpoints, "latest")
    if not isinstance(method, MinusPlus) or networks.main != "mpnet":
        raise InputError(f"--workdir={workdir} has not trained a Plus-Net yet; name a run past its second round")
    separator = networks.separator(all_ways(method))
    store = open_splits(method.data, ("validation",))["validation"]
    spec = method.evaluation.list_spec("validation", values.sources)
    mixtures = split_list(method.audio, workdir, store, spec, "validation")

    batches = evaluation_batches(
        store,
        mixtures,
        audio=method.audio,
        frames=method.data.frames,
        batch_size=method.evaluation.batch_size,
    )
    in_order: list[bool] = []
    scores = list(
        score_mixtures(_jobs(separator, batches, in_order), workers=values.workers, method=method.evaluation.bss)
    )
    checkpoints.close()
    videos = [[store.clips[plan.clip].video_id for plan in mixture] for mixture in mixtures]
    found = {name: variant_means(name, scores) for name in VARIANTS}
    found |= {
        f"{name} - {to}": {metric: means - found[to][metric] for metric, means in found[name].items()}
        for name, to in VARIANTS.items()
        if to != name
    }
    where = {"all": np.full(len(scores), True), "in order": np.array(in_order), "out of order": ~np.array(in_order)}
    results = {
        "command": this_command(),
        "what": "NSDR, SIR and SAR in dB, with 95 % intervals over videos",
        "step": networks.steps["mpnet"],
        "share_in_order": summarise(np.array(in_order, np.float64), videos),
        "scores": {
            kind: {
                name: {metric: summarise(np.where(rows, means, np.nan), videos) for metric, means in by_metric.items()}
                for name, by_metric in found.items()
            }
            for kind, rows in where.items()
        },
    }
    record.write(file, results)
    logging.info("in the true order: %.2f of %d mixtures", np.mean(in_order), len(in_order))
    for kind, by_name in results["scores"].items():
        for name, by_metric in by_name.items():
            texts = [f"{metric.upper()} {_text(x)}" for metric, x in by_metric.items()]
            logging.info("%-12s %-22s %s", kind, name, "   ".join(texts))


def _text(estimate: Mapping[str, Any]) -> str:
    if estimate["mean"] is None:
        return "-"
    low, high = estimate["ci95"] or (np.nan, np.nan)
    return f"{estimate['mean']:6.2f} [{low:.2f}, {high:.2f}]"


def _jobs(separator: Separator, batches: Iterable[HostBatch], in_order: list[bool]) -> Iterator[Job]:
    """Yields the mixtures to score; appends to `in_order` for each."""
    for batch in batches:
        out = separator(device_inputs(batch))
        for i in np.flatnonzero(batch["valid"]):
            truth = batch["source_waveform"][i]
            untouched = np.broadcast_to(truth.sum(0), truth.shape)
            in_order.append(bool(out[IN_ORDER][i]))
            yield Job(truth, {MIXTURE: untouched} | {name: out[name][i] for name in VARIANTS})


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    command.define_path("workdir", None, "Folder of a trained MP-Net.")
    command.define_path("data_dir", "data", "Folder of prepared sets.")
    flags.DEFINE_integer("workers", 1, "Scoring processes.", lower_bound=1)
    flags.DEFINE_integer("sources", 2, "Sounds per mixture.", lower_bound=2)
    command.run(main)
