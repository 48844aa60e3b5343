"""Evaluates a run: `python -m mpnet_jax.evaluate --config=configs/quickstart.py [--workdir=DIR] [--mix=2,3,4,5]`.

Separates and scores the fixed mixtures of a split, writes `metrics.json` and an HTML report with sounds into the
workdir, and prints a table. `--mix` adds mixtures of other numbers of sounds. `--counting` measures how often the
recursion finds the number of sounds, `--localisation` how well it locates the sounding player, and `--far` how well it
separates a data set far from the training data. Scores are saved one by one: the same command resumes after an
interruption.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from data_pipeline import command
from data_pipeline.atomic import write_atomically
from mpnet_jax.config import check as config_module
from mpnet_jax.config import saved_config
from mpnet_jax.config.specs import Config
from mpnet_jax.evaluation.options import EvaluationOptions, open_stores, parse_mixes
from mpnet_jax.metrics.localisation import DEFINITION as LOCALISATION
from mpnet_jax.metrics.names import method_name
from mpnet_jax.processes import membership
from mpnet_jax.run.data import data_fingerprint
from mpnet_jax.run.facts import run_facts
from mpnet_jax.run.log import LOSSES, SESSIONS, TIME, VALIDATION, read_lines

if TYPE_CHECKING:
    from data_pipeline.records.store import RecordStore
    from mpnet_jax.evaluation.evaluator import Evaluator
    from mpnet_jax.methods.registry import Method

SPLITS = ("train", "validation", "test")
# Results of an earlier evaluation of the same networks that are kept when their flags are not given again.
_KEPT = ("mixes", "counting", "localisation", "far")


def main() -> None:
    """Runs the command."""
    membership.refuse_several("evaluate", way_out="start one alone (srun --ntasks=1)")
    config = config_module.from_flags()
    workdir = flags.FLAGS.workdir or Path(f"runs/{config.name}")
    saved_config.refuse_other(saved_config.require_recorded(workdir), config, workdir)
    values = flags.FLAGS
    options = EvaluationOptions(
        values.split,
        values.checkpoint,
        parse_mixes(values.mix),
        counting=values.counting,
        localisation=values.localisation,
        far=values.far,
    )
    evaluate(config, workdir, options)


def evaluate(config: Config, workdir: Path, options: EvaluationOptions) -> dict[str, Any]:
    """Evaluates one checkpoint on one split.

    Args:
        config: The config of the run.
        workdir: Folder of the run. `metrics.json` and `report/` are written to it for the test split, and to a folder
            of the split's name in it for others.
        options: What to evaluate.

    Returns:
        The contents of `metrics.json`.

    Raises:
        InputError: There is no checkpoint, it is of another model, an option does not fit method, split or data, or JAX
            finds no device.
    """
    # These import JAX, so wrong flags are refused before.
    from mpnet_jax.evaluation import scores, tables
    from mpnet_jax.evaluation.evaluator import Evaluator
    from mpnet_jax.methods.registry import method_of
    from mpnet_jax.processes import environment
    from mpnet_jax.report.page import write_report

    environment.prepare()
    method = method_of(config)
    stores = open_stores(method, options)
    folder = workdir if options.split == "test" else workdir / options.split
    evaluator = Evaluator(method, workdir, stores=stores, options=options)
    own = method.evaluation.drawn.sources
    out = evaluator.separation(own)
    out["by_mixture"] = {f"mix{own}": out["by_mixture"]}
    out["run"] = _facts(evaluator, method, stores[options.split], options) | _facts_of_run(workdir)
    out["sessions"] = read_lines(workdir / SESSIONS)
    if out["sessions"]:
        out["run"]["trained_at"] = ", ".join(dict.fromkeys(line["commit"] for line in out["sessions"]))
    out["history"] = {
        "loss": [[line["step"], line["loss"]] for line in read_lines(workdir / LOSSES)],
        "si_sdr_improvement": [[line["step"], line["si_sdr_improvement"]] for line in read_lines(workdir / VALIDATION)],
    }
    _keep_earlier(folder, out)
    _write(folder, out)
    sys.stdout.write(tables.table(out) + "\n")
    others = {number: evaluator.separation(number) for number in options.mixes if number != own}
    if others:
        of_all = dict(sorted((others | {own: out}).items()))
        out["mixes"] = {str(number): scores.by_method(result) for number, result in of_all.items()}
        out["by_mixture"] |= {f"mix{number}": result["by_mixture"] for number, result in others.items()}
        _write(folder, out)
        sys.stdout.write(tables.table_of_mixes(out["mixes"]) + "\n")
    places = []
    if options.counting:
        out["counting"] = evaluator.counting()
        _write(folder, out)
        sys.stdout.write(tables.table_of_counts(out["counting"]) + "\n")
    if options.localisation:
        out["localisation"], places = evaluator.localisation()
        out["definitions"] |= {"localisation": LOCALISATION}
        _write(folder, out)
        sys.stdout.write(tables.table_of_places(out["localisation"]) + "\n")
    if options.far:
        far = evaluator.far()
        out["far"] = {"data": config.evaluation.far.name, "methods": scores.by_method(far)} | {
            part: far[part] for part in ("left_out", "differences")
        }
        out["by_mixture"] |= {f"far_mix{own}": far["by_mixture"]}
        _write(folder, out)
        sys.stdout.write(f"far: {config.evaluation.far.name}\n{tables.table(far)}\n")
    page = write_report(folder / "report", summary=out, examples=evaluator.examples(out), places=places)
    sys.stdout.write(f"numbers: {folder / 'metrics.json'}\nreport:  {page}\n")
    return out


def _facts(
    evaluator: "Evaluator", method: "Method", store: "RecordStore", options: EvaluationOptions
) -> dict[str, Any]:
    """Returns the entries of a results file that describe the evaluated networks and their data."""
    from data_pipeline.mixture_list import fingerprint

    networks, config = evaluator.networks, method.config
    return {
        "method": method_name(networks.main),
        "config": config.name,
        "split": options.split,
        "step": networks.steps[networks.main],
        "step_of": dict(networks.steps),
        "steps": method.rounds[-1].last_step,
        "mask": config.mask,
        "seed": config.seed,
        "checkpoint": options.checkpoint,
        "networks": dict(networks.fingerprints),
        "bss": method.evaluation.bss,
        "mixtures_sha256": fingerprint(store, evaluator.own),
        "data": method.data.name,
        "data_sha256": data_fingerprint(method.data),
    }


def _facts_of_run(workdir: Path) -> dict[str, Any]:
    """Returns the minutes of training, and the commit and machine of this evaluation."""
    path = workdir / TIME
    minutes = round(json.loads(path.read_text(encoding="utf-8"))["seconds"] / 60, 1) if path.is_file() else None
    return {"training_minutes": minutes, **run_facts()}


def _write(folder: Path, out: dict[str, Any]) -> None:
    """Writes the results that exist so far."""
    write_atomically(folder / "metrics.json", json.dumps(out, indent=1, allow_nan=False) + "\n")


def _keep_earlier(folder: Path, out: dict[str, Any]) -> None:
    """Copies the other results of an earlier evaluation with equal networks, mixtures and definitions into `out`."""
    try:
        before = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        same = all(before["run"][fact] == out["run"][fact] for fact in ("networks", "bss", "mixtures_sha256"))
        same = same and out["definitions"].items() <= before["definitions"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if same:
        out.update({part: before[part] for part in _KEPT if part in before})
        out["by_mixture"] = before.get("by_mixture", {}) | out["by_mixture"]


if __name__ == "__main__":
    config_module.define_flag("quickstart")
    command.define_path("workdir", None, "Folder of the run; runs/<config.name> by default.")
    flags.DEFINE_enum("split", "test", SPLITS, "Split to evaluate.")
    flags.DEFINE_enum("checkpoint", "best", ("best", "latest"), "Checkpoint to evaluate.")
    flags.DEFINE_list("mix", [], "Numbers of sounds to evaluate besides the run's own, such as 2,3,4,5.")
    flags.DEFINE_bool("counting", False, "Measure how often the recursion finds the number of sounds.")
    flags.DEFINE_bool("localisation", False, "Measure how well the sounding player is located.")
    flags.DEFINE_bool("far", False, "Evaluate on a data set far from the training data.")
    command.run(main)
