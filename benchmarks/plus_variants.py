"""Trains a Plus-Net on trained M-Nets: `python -m benchmarks.plus_variants --mnets=RUN,... --variant=NAME --json=FILE`.

Each M-Net, for example one for each seed, gets the Plus-Net of the variant: `--plus_steps` on the frozen M-Net, then
`--both_steps` of both. The result is compared with the M-Net that it began with on the validation mixtures of
`--sources` sounds, mixture by mixture; intervals are over videos, of all runs together. A finished training and its
scores are not repeated when the same command is given again, and one that was interrupted goes on.

Each MP-Net is scored with several values of `config.evaluation.plus_threshold`. In the results, `mpnet` has the value
with the greatest mean NSDR over all runs and numbers of sounds. `default` has 0: M_r stays soft for ratio masks, and is
thresholded at one half for binary ones. The value is chosen on the mixtures that are scored, so the gain of `mpnet`
is a little too large.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags, logging

from benchmarks.harness import record
from benchmarks.harness.mixture_scores import MIXTURE, variant_means
from data_pipeline import command
from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from mpnet_jax.config import check, saved_config
from mpnet_jax.metrics.aggregate import summarise
from mpnet_jax.run.facts import this_command

# Whole names of the fields of a variant: those of the paper's Plus-Net, and what is changed. All else is the M-Net's
# config.
PAPER: dict[str, Any] = {
    "model.plus_looks": False,
    "model.plus_start": "random",
    "model.plus_inputs": "remix,sound",
    "recursion.plus_source": "remix",
    "recursion.plus_conserves": False,
    "recursion.plus_passes": 1,
    "loss.ratio_plus": "absolute",
    "loss.binary_plus": "share",
}
_BEGINS = {"model.plus_start": "minus_net"}
_LOOKS = _BEGINS | {"model.plus_looks": True}
_SEES = {"model.plus_inputs": "remix,sound,remaining,mixture"}
_OTHERS = _SEES | {"recursion.plus_source": "others"}
_CONSERVES = {"recursion.plus_conserves": True}
_SWEEPS = _CONSERVES | {"recursion.plus_passes": 2}
_TWO_SWEEPS = _CONSERVES | {"recursion.plus_passes": 3}
_MISSED = {"loss.ratio_plus": "missed", "loss.binary_plus": "missed"}  # of which one holds, by the masks
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "begins": _BEGINS,
    "looks_random": {"model.plus_looks": True},
    "looks": _LOOKS,
    "sees": _SEES,
    "others": _OTHERS,
    "conserves": _CONSERVES,
    "sweeps": _SWEEPS,
    "cross_entropy": {"loss.ratio_plus": "cross_entropy"},
    "magnitude": {"loss.ratio_plus": "magnitude"},
    "log_magnitude": {"loss.ratio_plus": "log_magnitude"},
    "si_sdr": {"loss.ratio_plus": "si_sdr"},
    "missed": _MISSED,
    "looks_others": _LOOKS | _OTHERS,
    "looks_conserves": _LOOKS | _OTHERS | _CONSERVES,
    "looks_sweeps": _LOOKS | _OTHERS | _SWEEPS,
    "looks_sweeps_si_sdr": _LOOKS | _OTHERS | _SWEEPS | {"loss.ratio_plus": "si_sdr"},
    "looks_missed": _LOOKS | _MISSED,
    "looks_conserves_missed": _LOOKS | _OTHERS | _CONSERVES | _MISSED,
    "looks_sweeps_missed": _LOOKS | _OTHERS | _SWEEPS | _MISSED,
    "looks_two_sweeps_missed": _LOOKS | _OTHERS | _TWO_SWEEPS | _MISSED,
}
METRICS = ("nsdr", "sir", "sar")
_DEFAULT = "0"
THRESHOLDS = (_DEFAULT, "0.3", "0.5", "0.7")  # tried values of evaluation.plus_threshold, as keys of JSON
_SCORES = "plus_variants.json"  # in the folder of a run: scores of its mixtures


def main() -> None:
    """Runs the command."""
    values = flags.FLAGS
    file = record.check_file(values.json)
    if values.variant not in VARIANTS:
        raise InputError(f"--variant={values.variant!r} is unknown; use one of {', '.join(VARIANTS)}")
    numbers = [int(number) for number in values.sources]
    configs = {folder.name: config_of(folder) for folder in values.mnets}
    if len(configs) < len(values.mnets):
        raise InputError("two of --mnets have the same name; rename one, since the new runs are named after them")
    found: dict[str, Any] = {}
    for folder in values.mnets:
        workdir = values.runs / f"{values.variant}-{folder.name}"
        trained = train(configs[folder.name], workdir)
        found[folder.name] = scores_of(trained, folder, workdir, numbers)
        results = {name: summary([scores], numbers) | scores["facts"] for name, scores in found.items()}
        record.write(
            file,
            {
                "command": this_command(),
                "what": "NSDR, SIR and SAR of validation mixtures in dB, with 95 % intervals over videos",
                "variant": values.variant,
                "changes": VARIANTS[values.variant],
                "runs": results,
                "together": summary(list(found.values()), numbers),
            },
        )
    together = summary(list(found.values()), numbers)
    for number in numbers:
        gain = together[str(number)]["difference"]["nsdr"]
        logging.info("%s, %d sounds, threshold %g: NSDR %s dB", values.variant, number, together["threshold"], gain)


def config_of(mnet: Path) -> Any:
    """Returns the config of the run that trains the variant's Plus-Net on an M-Net.

    Raises:
        InputError: The folder is no run of an M-Net alone, or the variant does not fit it.
    """
    values = flags.FLAGS
    config = saved_config.restored(saved_config.require_recorded(mnet), mnet / "config.json")
    if config.method != "mpnet" or config.rounds.plus or config.rounds.both:
        raise InputError(
            f"--mnets={mnet} holds a run with another method or rounds; give runs of config.method=mpnet with "
            "rounds.plus=0 and rounds.both=0"
        )
    fields = {
        "name": f"{values.variant}-{mnet.name}",
        "start_from": str(mnet),
        "data.directory": str(values.data_dir),
        "rounds.minus": 0,
        "rounds.plus": values.plus_steps,
        "rounds.both": values.both_steps,
    }
    config.update_from_flattened_dict(fields | PAPER | VARIANTS[values.variant])
    check.check(config)
    return config


def train(config: Any, workdir: Path) -> Any:
    """Trains a run, or what is left of it; returns its config."""
    from mpnet_jax.train import train as run

    if status := run(config, workdir):
        raise SystemExit(status)
    return config


class _Compared(NamedTuple):
    """The M-Net and the MP-Net of a run, and the data that they are compared on."""

    method: Any
    mnet: Any
    mpnet: Any
    store: Any = None


def scores_of(config: Any, mnet: Path, workdir: Path, numbers: Sequence[int]) -> dict[str, Any]:
    """Returns the scores of a run's mixtures, read from its folder where they are there already.

    Returns:
        JSON-ready {"facts": ..., "by_mixture": {number of sounds: {"videos": ..., "mnet": {metric: values}, threshold:
        ...}}}; `null` stands for a missing value.
    """
    from mpnet_jax.methods.registry import method_of
    from mpnet_jax.run.checkpoint import Checkpoints
    from mpnet_jax.run.data import open_splits
    from mpnet_jax.weights.trained import TrainedNetworks

    of_mnet = saved_config.restored(saved_config.require_recorded(mnet), mnet / "config.json")
    networks = []
    # The M-Net that training began with is the best one on validation; no MP-Net is chosen by what it is scored on.
    for made_by, folder, kind in ((of_mnet, mnet, "best"), (config, workdir, "latest")):
        checkpoints = Checkpoints(folder, read_only=True)
        networks.append(TrainedNetworks(method_of(made_by), checkpoints, kind))
        checkpoints.close()
    asked = {"networks": [each.fingerprints for each in networks], "thresholds": list(THRESHOLDS)}
    path, kept = workdir / _SCORES, {}
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
    if kept.get("facts", {}).get("asked") != asked:
        seconds = json.loads((workdir / "time.json").read_text(encoding="utf-8"))
        facts = {"asked": asked, "seconds_per_step": seconds["seconds"] / seconds["step"]}
        kept = {"facts": facts, "by_mixture": {}}
    method = method_of(config)
    compared = _Compared(method, networks[0], networks[1])
    missing = [number for number in numbers if str(number) not in kept["by_mixture"]]
    if missing:
        compared = compared._replace(store=open_splits(method.data, ("validation",))["validation"])
    for number in missing:
        kept["by_mixture"][str(number)] = score(compared, workdir, number)
        write_atomically(path, json.dumps(kept) + "\n")
    return kept


def mixtures_of(compared: _Compared, workdir: Path, number: int) -> tuple[list[Any], Iterator[Any]]:
    """Returns the fixed validation mixtures of a number of sounds, and their batches."""
    from data_pipeline.loader import evaluation_batches
    from mpnet_jax.run.data import split_list

    method, store = compared.method, compared.store
    spec = method.evaluation.list_spec("validation", number)
    mixtures = split_list(method.audio, workdir, store, spec, "validation")
    size = method.evaluation.batch_size
    batches = evaluation_batches(store, mixtures, audio=method.audio, frames=method.data.frames, batch_size=size)
    return mixtures, batches


def score(compared: _Compared, workdir: Path, number: int) -> dict[str, Any]:
    """Returns the scores of M-Net, and of MP-Net by threshold, on every validation mixture of a number of sounds."""
    from mpnet_jax.methods.registry import method_of
    from mpnet_jax.metrics.workers import Job, score_mixtures
    from mpnet_jax.steps.separated_mixtures import device_inputs

    mixtures, batches = mixtures_of(compared, workdir, number)

    def mpnet(threshold: float) -> Any:
        config = compared.method.config.copy_and_resolve_references()
        config.evaluation.plus_threshold = threshold
        return compared.mpnet.separator(method_of(config).separate_step("mpnet"))

    passes = {"mnet": compared.mnet.separator(compared.method.separate_step("mnet"))}
    passes |= {threshold: mpnet(float(threshold)) for threshold in THRESHOLDS}

    def jobs() -> Iterator[Job]:
        for batch in batches:
            inputs = device_inputs(batch)
            out = {name: separator(inputs)["waveform"] for name, separator in passes.items()}
            for i in np.flatnonzero(batch["valid"]):
                truth = batch["source_waveform"][i]
                untouched = np.broadcast_to(truth.sum(0), truth.shape)
                yield Job(truth, {MIXTURE: untouched} | {name: sounds[i] for name, sounds in out.items()})

    bss = compared.method.evaluation.bss
    scores = list(score_mixtures(jobs(), workers=flags.FLAGS.workers, method=bss))
    clips = compared.store.clips
    found = {name: variant_means(name, scores) for name in passes}
    return {"videos": [[clips[plan.clip].video_id for plan in mixture] for mixture in mixtures]} | {
        name: {metric: [float(x) if np.isfinite(x) else None for x in means[metric]] for metric in METRICS}
        for name, means in found.items()
    }


def summary(runs: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> dict[str, Any]:
    """Returns the best threshold, and means with intervals over the mixtures of all runs by number of sounds."""
    found = {str(number): _of_number(runs, str(number)) for number in numbers}
    gains = {
        threshold: float(np.mean([np.nanmean(scores[threshold]["nsdr"]) for scores, _ in found.values()]))
        for threshold in THRESHOLDS
    }
    best = max(THRESHOLDS, key=lambda threshold: gains[threshold])
    out: dict[str, Any] = {"threshold": float(best), "nsdr_by_threshold": gains}
    for number, (scores, videos) in found.items():
        rows = {"mnet": scores["mnet"], "default": scores[_DEFAULT], "mpnet": scores[best]}
        for name, of in (("default_difference", _DEFAULT), ("difference", best)):
            rows[name] = {metric: scores[of][metric] - scores["mnet"][metric] for metric in METRICS}
        out[number] = {
            name: {metric: summarise(x, videos) for metric, x in by_metric.items()} for name, by_metric in rows.items()
        }
    return out


def _of_number(
    runs: Sequence[Mapping[str, Any]], number: str
) -> tuple[dict[str, dict[str, np.ndarray]], list[list[str]]]:
    """Returns the scores of all runs by M-Net or threshold and by metric, and the videos of each mixture."""
    lists = [run["by_mixture"][number] for run in runs]
    scores = {
        name: {metric: np.array([x for each in lists for x in each[name][metric]], np.float64) for metric in METRICS}
        for name in ("mnet", *THRESHOLDS)
    }
    return scores, [ids for each in lists for ids in each["videos"]]


if __name__ == "__main__":
    command.define_paths("mnets", None, "Folders of runs of an M-Net alone.", required=True)
    flags.DEFINE_string("variant", "paper", "Name of the variant.")
    flags.DEFINE_integer("plus_steps", 1500, "Steps of the Plus-Net's own round.", lower_bound=1)
    flags.DEFINE_integer("both_steps", 0, "Steps of the round that trains both.", lower_bound=0)
    flags.DEFINE_list("sources", ["2", "3"], "Numbers of sounds in the validation mixtures.")
    flags.DEFINE_integer("workers", 1, "Scoring processes.", lower_bound=1)
    command.define_path("runs", "runs/plus_variants", "Folder of the new runs.")
    command.define_path("data_dir", "data", "Folder of prepared sets.")
    command.define_path("json", None, "File of the results.")
    command.run(main)
