"""Evaluates a run: `python -m mpnet_jax.evaluate --config=configs/quickstart.py [--workdir=DIR] [--split=test]`.

Separates the split's fixed mixtures, writes `metrics.json` and a report to look at and listen to into the workdir,
and prints a table.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tqdm
from absl import flags, logging
from ml_collections import config_flags

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax import config as config_module
from mpnet_jax.config import Config
from mpnet_jax.run_data import mixture_list, open_splits
from mpnet_jax.run_facts import run_facts, usable_cores
from mpnet_jax.run_log import LOSSES, TIME, VALIDATION, read_lines

SPLITS = ("train", "validation", "test")


def main() -> None:
    """The command."""
    config = config_module.from_flags()
    workdir = Path(flags.FLAGS.workdir or f"runs/{config.name}")
    recorded = config_module.read_recorded(workdir)
    if recorded is None:
        raise InputError(
            f"--workdir={workdir} holds no run; train one: python -m mpnet_jax.train --workdir={workdir} --config=..."
        )
    config_module.refuse_other(recorded, config, workdir)
    evaluate(config, workdir, split=flags.FLAGS.split, checkpoint=flags.FLAGS.checkpoint)


def evaluate(config: Config, workdir: Path, *, split: str, checkpoint: str) -> dict[str, Any]:
    """Evaluates one checkpoint on one split.

    Args:
        config: the run's.
        workdir: the run's; `metrics.json` and `report/` are written to it for the test split, under the split's name
            for others.
        split: "train", "validation" or "test".
        checkpoint: "best" (by validation: of MP-Net, with the M-Net alone beside it, where both were trained) or
            "latest".

    Returns:
        What is written to `metrics.json`.

    Raises:
        InputError: no checkpoint, another model's, or a data set that does not fit.
    """
    store = open_splits(config, (split,))[split]
    from mpnet_jax import compilation_cache, from_config, parallel, scores
    from mpnet_jax.checkpoint import Checkpoints
    from mpnet_jax.report.page import write_report

    compilation_cache.enable()
    parallel.check_batch(config.evaluation.batch_size, field="evaluation.batch_size")
    mixtures = mixture_list(config, workdir, store, split)
    checkpoints = Checkpoints(workdir)
    separate = _Methods(config, store, checkpoints, checkpoint)
    checkpoints.close()
    logging.info("evaluating %s on %d mixtures of %s", separate.about(checkpoint), len(mixtures), split)

    with tqdm.tqdm(total=len(mixtures), unit="mixture", mininterval=1 if sys.stderr.isatty() else 15) as bar:

        def progress(done: int) -> None:
            bar.update(done - bar.n)

        scored = scores.score(
            separate(mixtures),
            workers=usable_cores(),
            bss=config.evaluation.bss,
            progress=progress,
        )
    video_ids = [[store.clips[plan.clip].video_id for plan in mixture] for mixture in mixtures]
    classes = [[store.classes[store.clips[plan.clip].label] for plan in mixture] for mixture in mixtures]
    out = scores.results(scored, video_ids, classes, method=separate.main)
    out["run"] = {
        "method": scores.METHOD_NAMES[separate.main],
        "config": config.name,
        "split": split,
        "step": separate.steps[separate.main],
        "steps": from_config.rounds(config)[-1].last_step,
        "mask": config.mask,
        "seed": config.seed,
        "training_minutes": _training_minutes(workdir),
        **run_facts(),
    }
    out["history"] = {
        "loss": [[line["step"], line["loss"]] for line in read_lines(workdir / LOSSES)],
        "si_sdr_improvement": [[line["step"], line["si_sdr_improvement"]] for line in read_lines(workdir / VALIDATION)],
    }
    folder = workdir if split == "test" else workdir / split
    folder.mkdir(exist_ok=True)
    temporary = folder / "metrics.json.tmp"
    temporary.write_text(json.dumps(out, indent=1) + "\n")
    temporary.replace(folder / "metrics.json")
    examples = _examples(config, separate, mixtures, out)
    page = write_report(folder / "report", summary=out, examples=examples)
    sys.stdout.write(scores.table(out) + f"\nnumbers: {folder / 'metrics.json'}\nreport:  {page}\n")
    return out


class _Methods:
    """The trained methods as a function from a list of mixtures to separated ones.

    Attributes:
        main: the method that is reported: "mpnet" where one was trained, else "mnet".
        steps: training steps of each method.
    """

    def __init__(self, config: Config, store: Any, checkpoints: Any, checkpoint: str) -> None:
        import jax

        from mpnet_jax import from_config, parallel
        from mpnet_jax.checkpoint import METHODS
        from mpnet_jax.evaluation import Separator

        self._config = config
        self._store = store
        self._separators = {}
        self.steps: dict[str, int] = {}
        kinds = [f"best_{method}" for method in METHODS] if checkpoint == "best" else ["latest"]
        trained = [kind for kind in kinds if checkpoints.step(kind) is not None]
        template = jax.eval_shape(lambda: from_config.initial_state(config).variables)
        for kind in trained or kinds[:1]:  # where there is none, restoring says so
            step = checkpoints.step(kind) or 0
            variables = checkpoints.restore_variables(template, kind=kind)
            last = from_config.round_of(from_config.rounds(config), step)
            method = last.method if kind == "latest" else kind.removeprefix("best_")
            run = parallel.parallel_map(from_config.separate_step(config, with_plus=method == "mpnet"))
            self._separators[method] = Separator(run, parallel.replicate(variables))
            self.steps[method] = step
        self.main = list(self.steps)[-1]

    def about(self, checkpoint: str) -> str:
        """Which methods, of which steps."""
        return ", ".join(f"{method} of step {step} ({checkpoint})" for method, step in self.steps.items())

    def __call__(self, mixtures: list[Any]) -> Any:
        from data_pipeline.loader import evaluation_batches
        from mpnet_jax.evaluation import separate_mixtures

        batches = evaluation_batches(
            self._store,
            mixtures,
            audio=config_module.audio_spec(self._config),
            frames=config_module.frame_spec(self._config),
            batch_size=self._config.evaluation.batch_size,
        )
        others = {name: separator for name, separator in self._separators.items() if name != self.main}
        return separate_mixtures(self._separators[self.main], batches, others)


def _examples(config: Config, separate: _Methods, mixtures: list[Any], out: dict[str, Any]):
    """The report's examples: the best, median and worst mixtures, separated once more."""
    from mpnet_jax import from_config
    from mpnet_jax.report.example import ReportExample, choose_examples

    audio = config_module.audio_spec(config)
    axis = from_config.axis(config)
    rows_of = out["mixtures"]
    nsdr = np.array([np.mean([np.nan if v is None else v for v in row["nsdr"]]) for row in rows_of])
    chosen = choose_examples(nsdr, config.evaluation.examples)
    examples = []
    for (index, rank), mixture in (
        zip(chosen, separate([mixtures[i] for i, _ in chosen]), strict=True) if chosen else ()
    ):
        row = rows_of[index]
        examples.append(
            ReportExample(
                title=f"{rank.capitalize()}: mixture {index}, {' and '.join(row['classes'])}",
                classes=row["classes"],
                video_ids=row["video_ids"],
                frames=mixture.frames,
                rate_hz=audio.rate_hz,
                mixture_waveform=mixture.mixture,
                separated_waveform=mixture.separated,
                true_waveform=mixture.truth,
                mixture_spectrogram=np.asarray(axis.warp(mixture.mixture_magnitude)),
                separated_spectrogram=np.asarray(axis.warp(mixture.separated_magnitude)),
                true_spectrogram=np.asarray(axis.warp(mixture.true_magnitude)),
                mask=mixture.mask,
                true_mask=mixture.true_mask,
                row_hz=axis.hz,
                hop_seconds=audio.hop_samples / audio.rate_hz,
                scores=[
                    {name: row[name][n] for name in ("sdr", "sir", "sar", "nsdr")} for n in range(len(row["classes"]))
                ],
            )
        )
    return examples


def _training_minutes(workdir: Path) -> float | None:
    path = workdir / TIME
    return round(json.loads(path.read_text())["seconds"] / 60, 1) if path.is_file() else None


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", "configs/quickstart.py", "Config file; fields by --config.field=value.")
    flags.DEFINE_string("workdir", None, "Folder of the run; runs/<config.name> by default.")
    flags.DEFINE_enum("split", "test", SPLITS, "Split to evaluate.")
    flags.DEFINE_enum("checkpoint", "best", ("best", "latest"), "Checkpoint to evaluate.")
    command.run(main)
