"""Evaluates a run: `python -m mpnet_jax.evaluate --config=configs/quickstart.py [--workdir=DIR] [--mix=2,3,4,5]`.

Separates the split's fixed mixtures, writes `metrics.json` and a report to look at and listen to into the workdir,
and prints a table. `--mix` adds mixtures of other numbers of sounds, `--counting` asks whether the recursion finds
their number, `--localisation` whether it points to the player who sounds. What was stopped goes on where it was.
"""

import json
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax import config as config_module
from mpnet_jax.config import Config
from mpnet_jax.run_data import open_splits
from mpnet_jax.run_facts import run_facts
from mpnet_jax.run_log import LOSSES, TIME, VALIDATION, read_lines

SPLITS = ("train", "validation", "test")
_MOST_SOUNDS = 8


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
    evaluate(
        config,
        workdir,
        split=flags.FLAGS.split,
        checkpoint=flags.FLAGS.checkpoint,
        mixes=sounds_asked(flags.FLAGS.mix),
        counting=flags.FLAGS.counting,
        localisation=flags.FLAGS.localisation,
    )


def sounds_asked(given: list[str]) -> tuple[int, ...]:
    """The numbers of sounds of `--mix`, rising.

    Raises:
        InputError: something else than numbers from 1 to `_MOST_SOUNDS`.
    """
    try:
        numbers = sorted({int(number) for number in given})
    except ValueError:
        numbers = [0]
    if numbers and not 1 <= numbers[0] <= numbers[-1] <= _MOST_SOUNDS:
        raise InputError(
            f"--mix={','.join(given)} must be numbers of sounds from 1 to {_MOST_SOUNDS}; try --mix=2,3,4,5"
        )
    return tuple(numbers)


def evaluate(
    config: Config,
    workdir: Path,
    *,
    split: str,
    checkpoint: str,
    mixes: tuple[int, ...] = (),
    counting: bool = False,
    localisation: bool = False,
) -> dict[str, object]:
    """Evaluates one checkpoint on one split.

    Args:
        config: the run's.
        workdir: the run's; `metrics.json` and `report/` are written to it for the test split, under the split's name
            for others.
        split: "train", "validation" or "test".
        checkpoint: "best" (by validation: of MP-Net, with the M-Net alone beside it, where both were trained) or
            "latest".
        mixes: numbers of sounds to test on beside the run's own.
        counting: count sounds among silent clips, in both ways of looking.
        localisation: look for the sounding player.

    Returns:
        What is written to `metrics.json`.

    Raises:
        InputError: no checkpoint, another model's, or a data set that does not fit.
    """
    store = open_splits(config, (split,))[split]
    # Here, because these load JAX: bad input is answered before.
    from mpnet_jax import compilation_cache, scores
    from mpnet_jax.evaluator import Evaluator
    from mpnet_jax.report.page import write_report

    compilation_cache.enable()
    folder = workdir if split == "test" else workdir / split
    evaluator = Evaluator(config, workdir, folder, store, split=split, checkpoint=checkpoint)
    own = int(config.mixing.sources)
    out = evaluator.separation(own)
    sys.stdout.write(scores.table(out) + "\n")
    others = {number: evaluator.separation(number) for number in mixes if number != own}
    if others:
        of_all = dict(sorted((others | {own: out}).items()))
        out["mixes"] = {str(number): scores.by_method(result) for number, result in of_all.items()}
        sys.stdout.write(scores.table_of_mixes(out["mixes"]) + "\n")
    places = []
    if counting:
        out["counting"] = evaluator.counting()
        sys.stdout.write(scores.table_of_counts(out["counting"]) + "\n")
    if localisation:
        out["localisation"], places = evaluator.localisation()
        sys.stdout.write(scores.table_of_places(out["localisation"]) + "\n")
    out["run"] = evaluator.facts() | {"training_minutes": _training_minutes(workdir), **run_facts()}
    out["history"] = {
        "loss": [[line["step"], line["loss"]] for line in read_lines(workdir / LOSSES)],
        "si_sdr_improvement": [[line["step"], line["si_sdr_improvement"]] for line in read_lines(workdir / VALIDATION)],
    }
    folder.mkdir(exist_ok=True)
    temporary = folder / "metrics.json.tmp"
    temporary.write_text(json.dumps(out, indent=1, allow_nan=False) + "\n")
    temporary.replace(folder / "metrics.json")
    page = write_report(folder / "report", summary=out, examples=evaluator.examples(out), places=places)
    sys.stdout.write(f"numbers: {folder / 'metrics.json'}\nreport:  {page}\n")
    return out


def _training_minutes(workdir: Path) -> float | None:
    path = workdir / TIME
    return round(json.loads(path.read_text())["seconds"] / 60, 1) if path.is_file() else None


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", "configs/quickstart.py", "Config file; fields by --config.field=value.")
    flags.DEFINE_string("workdir", None, "Folder of the run; runs/<config.name> by default.")
    flags.DEFINE_enum("split", "test", SPLITS, "Split to evaluate.")
    flags.DEFINE_enum("checkpoint", "best", ("best", "latest"), "Checkpoint to evaluate.")
    flags.DEFINE_list("mix", [], "Numbers of sounds to test on beside the run's own, such as 2,3,4,5.")
    flags.DEFINE_bool("counting", False, "Does the recursion end after the right number of sounds?")
    flags.DEFINE_bool("localisation", False, "Does it point to the player who sounds?")
    command.run(main)
