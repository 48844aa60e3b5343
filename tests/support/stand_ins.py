"""Programs that stand in for training and evaluation, and a comparison that runs them.

`python tests/support/stand_ins.py compare --workdir=WORKDIR` makes a comparison, which calls the other commands.
Environment variables control what they do. WORKDIR/../journal has a line for the begin and the end of each program.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # it also runs as a program

MIXTURES = 12
FACTS = {"commit": "c", "machine": "m", "python": "3", "packages": "p", "date": "d"}
SESSION = {"step": 1, "command": "train"} | FACTS | {"commit": "t"}
GAIN = {"pixelplayer": 1.0, "mnet": 2.0, "mpnet": 3.0, "miml": 0.0, "miml_told": 4.0}


def grid_config(workdir: Path):
    """Returns a config with the methods of a pair and PixelPlayer, two seeds and an ablation for the stand-ins."""
    from mpnet_jax.configs import base  # not imported by the programs, to save time

    config = base.get_config()
    for name in ("rendered", "rendered_far", "rendered_small"):
        (workdir.parent / name).mkdir(exist_ok=True)
    fields = {
        "data.directory": str(workdir.parent),
        "data.name": "rendered",
        "rounds.minus": 20,
        "rounds.plus": 5,
        "rounds.both": 10,
        "compare.methods": ("mnet", "mpnet", "pixelplayer"),
        "compare.settings": ("ratio-mix2",),
        "compare.seeds": (0, 1),
        "compare.mixes": (2, 3),
        "compare.ablations.changes": ("mpnet original: recursion.mask_on=original",),
    }
    config.update_from_flattened_dict(fields)
    return config


def train(values: dict[str, str], workdir: Path) -> int:
    method = values["config.method"]
    if os.environ.get("CRASH") in (method, workdir.name):
        sys.stderr.write("error: out of memory\n")
        return 2
    start = values.get("config.start_from")
    if start is not None and not (Path(start) / "checkpoints").is_dir():
        sys.stderr.write(f"error: config.start_from={start} is no workdir of a run\n")
        return 2
    (workdir / "checkpoints").mkdir(parents=True, exist_ok=True)
    if not (workdir / "time.json").exists():
        nap("train", workdir)
    (workdir / "time.json").write_text(json.dumps({"seconds": 60.0}) + "\n")
    return 0


def evaluate(values: dict[str, str], workdir: Path) -> int:
    nap("evaluate", workdir)
    split = values.get("split", "test")
    own = int(values["config.mixing.sources"])
    numbers = sorted({own, *map(int, values.get("mix", str(own)).split(","))})
    rng = random.Random(int(values["config.seed"]))  # noqa: S311
    method = values["config.method"] if values["config.rounds.plus"] != "0" else f"{values['config.method']} alone"
    names = {"mpnet": ["mpnet"], "mpnet alone": ["mnet"], "miml alone": ["miml_told", "miml"]}.get(method)
    names = names or ["pixelplayer"]

    def score(name: str, metric: str, number: int) -> float:
        """Orders methods and masks as the paper does; scores fall with more sounds, least for recursive methods."""
        loss = (0.3 if name in ("mnet", "mpnet") else 1.0) * (number - 2)
        ratio = 0.5 if values.get("config.mask") == "ratio" else 0.0
        return (loss - GAIN[name] if metric == "amid" else GAIN[name] - loss) + (-ratio if metric == "sir" else ratio)

    def listed(number: int) -> dict:
        return {
            "outline_sha256": os.environ.get("SHA", "same") + f"{split}{number}",
            "video_ids": [[f"v{(index + 3 * n) % 10}" for n in range(number)] for index in range(MIXTURES)],
            "methods": {
                name: {
                    metric: [round(score(name, metric, number) + rng.gauss(0.0, 0.1), 4) for _ in range(MIXTURES)]
                    for metric in ("sdr", "sir", "sar", "nsdr", "amid")
                }
                for name in names
            },
            "beside": {
                "mixture": {metric: [-1.0] * MIXTURES for metric in ("sdr", "sir", "amid")},
                "oracle": {metric: [20.0] * MIXTURES for metric in ("sdr", "sir", "sar", "nsdr", "amid")},
                "swapped": {metric: [-3.0] * MIXTURES for metric in ("sdr", "sir", "sar", "nsdr")},
            },
            "left_out": {name: {"2": "silent estimate"} for name in names},
        }

    lists = {f"mix{number}": listed(number) for number in numbers}
    if "far" in values:
        lists[f"far_mix{own}"] = listed(own)

    def summaries(name: str) -> dict:
        return {
            method: {key: {"mean": sum(v) / len(v), "ci95": None, "count": len(v)} for key, v in metrics.items()}
            for method, metrics in lists[name]["methods"].items()
        }

    out = {
        "run": FACTS
        | {
            "steps": 35,
            "step": 30,
            "networks": {names[-1]: f"networks of {workdir.name}"},
            "training_minutes": 1.0,
            "data": "rendered",
            "data_sha256": "rendered" + os.environ.get("DATA", "d"),
            "split": split,
        },
        "sessions": [SESSION],
        "methods": summaries(f"mix{own}"),
        **{name: {} for name in ("mixture", "oracle", "swapped")},
        "mixes": {str(number): summaries(f"mix{number}") for number in numbers},
        "by_mixture": lists,
        "left_out": {},
    }
    if "far" in values:
        out["far"] = {"data": "rendered_far", "methods": summaries(f"far_mix{own}"), "left_out": {}}
    if "counting" in values:
        sounding = [index % 3 for index in range(MIXTURES)]
        out["counting"] = {
            "by_mixture": {"outline_sha256": "c", "video_ids": [["v1", "v2"]] * MIXTURES, "sounding": sounding},
            **{
                mode: {
                    "counted": sounding,
                    "as_trained": {"most": own, "constant": {"guess": 1, "accuracy": {"mean": 0.5}}},
                    "constant": {"guess": 0, "accuracy": {"mean": 0.25}},
                }
                for mode in ("clips", "pixels")
            },
        }
    if "localisation" in values:
        guess = {"pointing": {"mean": 0.5, "ci95": None, "count": 2}}
        out["localisation"] = [
            {
                "scene": "one player",
                "scenes": 3,
                "box_share": {"mean": 0.1, "max": 0.2},
                "guesses": {"energy map": guess, "centre": guess},
                "by_mixture": {
                    "outline_sha256": "p",
                    "video_ids": [["v1"], ["v2"], ["v3"]],
                    "methods": {"energy map": {"pointing": [1.0, 0.0, None]}},
                },
            }
        ]
    folder = workdir if split == "test" else workdir / split
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(out))
    return 0


def nap(word: str, workdir: Path) -> None:
    """Sleeps, for a minute in the run that SLOW names."""
    time.sleep(60.0 if os.environ.get("SLOW") == f"{word} {workdir.name}" else float(os.environ.get("NAP", "0")))


def compare_by_stand_ins(workdir: Path, arguments: list[str]) -> int:
    from absl import logging

    from data_pipeline import command
    from mpnet_jax.compare import compare
    from mpnet_jax.comparison.programs import Programs

    logging.set_verbosity(logging.INFO)
    given = dict(argument[2:].split("=", 1) for argument in arguments)
    programs = [[sys.executable, __file__, word] for word in ("train", "evaluate", "compare")]
    status = []
    command.guarded(
        lambda: status.append(
            compare(
                grid_config(workdir),
                workdir,
                given=["--config=stand_in.py"],
                only=given.get("only", "*"),
                share=given.get("cells", "0/1"),
                processes=int(given.get("processes", "1")),
                called=Programs(*programs),
            )
        )
    )
    return status[0]


def main() -> int:
    word, *rest = sys.argv[1:]
    values = dict(pair if len(pair := part[2:].split("=", 1)) == 2 else (pair[0], "") for part in rest)
    workdir = Path(values["workdir"])
    if word == "compare":
        return compare_by_stand_ins(workdir, rest)
    journal = workdir.parents[2] / "journal"

    def note(what: str) -> None:
        with journal.open("a") as file:
            file.write(f"{what} {word} {workdir.name}\n")

    def stopped(number: int, _: object) -> None:
        note("stopped")
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stopped)
    note("begins")
    if hasattr(os, "sched_getaffinity"):
        with journal.open("a") as file:
            file.write(f"cores {len(os.sched_getaffinity(0))}\n")
    status = {"train": train, "evaluate": evaluate}[word](values, workdir)
    note("ends")
    return status


if __name__ == "__main__":
    sys.exit(main())
