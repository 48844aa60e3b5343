"""Scores `separate` on rendered players: `python -m benchmarks.rendered_players --json=FILE [--workdir=RUN]`.

Each scene is a `.mp4` file with rendered solos of the test split side by side, of different classes and with their
sounds summed at equal level. The functions of `separate` run on scenes of two players with `--sounds=2` and without.
Scenes of one and of three players (`--counted`) are separated without it. The results have confidence intervals over
videos:

* `nsdr`: NSDR at the network's sample rate, as in docs/RESULTS.md. The stem located on the left is compared to the
  left player's true solo, the other stem to the right player's.
* `nsdr_best_order`: NSDR in the better of the two orders.
* `right_player`: share of stems whose sound is mostly that of the player at their location.
* `keeps_number`: share of windows, of those in which both play, in which a stem is mostly its usual player.
* `counted_one`, `counted_two`, `counted_three`: share of the scenes with that many players in which as many sounds are
  found when their number is not given.

The solos and their split are those of a prepared set of rendered solos (`make data`).
"""

import contextlib
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import tqdm
from absl import flags

from benchmarks.harness import record
from data_pipeline import command
from data_pipeline.command import InputError
from data_pipeline.rendered.scene import Waves, true_sounds, write_scene
from data_pipeline.rendered.sound.synthesise import RATE_HZ
from mpnet_jax.metrics.aggregate import summarise
from mpnet_jax.metrics.bss_eval import bss_eval
from mpnet_jax.processes import environment
from mpnet_jax.separation.output import Output
from mpnet_jax.separation.separator import Separator
from mpnet_jax.weights.trained import load

# Windows in which one player is quieter than the other by more than this are ignored.
_BOTH_PLAY_DB = 20.0


@dataclasses.dataclass(frozen=True)
class Scene:
    """Solos side by side.

    Attributes:
        names: Names of the solos, from left to right.
        files: Their files.
    """

    names: tuple[str, ...]
    files: tuple[Path, ...]


def draw_scenes(videos: Path, manifest: Path, *, split: str, count: int, seed: int, players: int = 2) -> list[Scene]:
    """Draws scenes of different classes; no solo is reused before all have been used.

    Args:
        videos: Folder of the rendered solos.
        manifest: Manifest of the set prepared from them, which holds their splits.
        split: Split to draw from.
        count: Number of scenes.
        seed: Seed of the draw.
        players: Number of solos in a scene.

    Raises:
        InputError: The set does not exist, or the split has fewer classes than players.
    """
    if not manifest.is_file():
        raise InputError(f"{manifest} does not exist; prepare rendered solos (make data) or give --data_dir, --name")
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    solos = sorted((row["name"], row["class"], row["file"]) for row in rows if row["split"] == split)
    if len({label for _, label, _ in solos}) < players:
        raise InputError(f"{manifest} has fewer than {players} classes in its {split} split; prepare more solos")
    rng = np.random.default_rng(seed)
    scenes: list[Scene] = []
    waiting: list[tuple[str, str, str]] = []
    while len(scenes) < count:
        if len({label for _, label, _ in waiting}) < players:
            waiting += [solos[index] for index in rng.permutation(len(solos))]
        chosen: list[tuple[str, str, str]] = []
        while len(chosen) < players:
            labels = {label for _, label, _ in chosen}
            chosen.append(waiting.pop(next(index for index, solo in enumerate(waiting) if solo[1] not in labels)))
        scenes.append(Scene(tuple(name for name, _, _ in chosen), tuple(videos / file for _, _, file in chosen)))
    return scenes


def define_flags() -> None:
    """Defines the flags for the results, the model and the solos."""
    command.define_path("json", None, "JSON file for the results.")
    command.define_path("workdir", None, "Folder of a trained run; the shipped model by default.")
    command.define_path("videos", "data/videos/rendered_solos", "Folder of rendered solos.")
    command.define_path("data_dir", "data", "Folder of prepared sets.")
    flags.DEFINE_string("name", "rendered_solos", "Name of the set prepared from the solos, which holds their splits.")
    flags.DEFINE_enum("split", "test", ("validation", "test"), "Split of the solos.")
    flags.DEFINE_integer("seed", 0, "Seed of the draw of scenes.")


def scenes_by_flags(count: int, *, players: int = 2) -> list[Scene]:
    """Draws scenes as the flags say.

    Raises:
        InputError: See `draw_scenes`.
    """
    values = flags.FLAGS
    manifest = values.data_dir / values.name / "1.0.0" / "manifest.jsonl"
    return draw_scenes(values.videos, manifest, split=values.split, count=count, seed=values.seed, players=players)


def scores(
    stems: Waves, truth: Waves, *, rate_hz: int, places: Sequence[float], windows: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Scores one scene.

    Args:
        stems: Stems in the order of their numbers.
        truth: True sounds of the left and the right player.
        rate_hz: Sample rate of both.
        places: Horizontal locations of the stems, from 0 (left) to 1.
        windows: Starts and ends of the windows in seconds.

    Returns:
        `nsdr` and `sdr` per player, with stems assigned by location; `nsdr_best_order` per player; the shares
        `right_player` and `keeps_number`.
    """
    by_place = stems[np.argsort(places, kind="stable")]
    mixture = np.broadcast_to(truth.sum(axis=0), truth.shape)
    found = bss_eval(truth, np.stack([by_place, by_place[::-1], mixture]))
    nsdr = found.sdr[:2] - found.sdr[2]
    mostly = _likest(stems, truth)
    kept = []
    for start_s, end_s in windows:
        part = slice(round(start_s * rate_hz), round(end_s * rate_hz))
        levels = np.sum(np.square(truth[:, part]), axis=1)
        if levels.min() > 0 and levels.max() / levels.min() < 10 ** (_BOTH_PLAY_DB / 10):
            kept.append(_likest(stems[:, part], truth[:, part]))
    usual = np.array([np.bincount(column, minlength=2).argmax() for column in np.array(kept).T])
    return {
        "nsdr": nsdr[0].tolist(),
        "nsdr_best_order": nsdr[int(np.argmax(nsdr.mean(axis=1)))].tolist(),
        "sdr": found.sdr[0].tolist(),
        "right_player": np.mean([player == int(place >= 0.5) for player, place in zip(mostly, places, strict=True)]),
        "keeps_number": float(np.mean(np.array(kept) == usual)) if kept else float("nan"),
    }


def _likest(stems: Waves, truth: Waves) -> np.ndarray:
    """Returns the player that each stem is mostly: the one with the larger projection."""
    inner = stems.astype(np.float64) @ truth.astype(np.float64).T
    return np.argmax(np.square(inner) / np.maximum(np.sum(np.square(truth), axis=1, dtype=np.float64), 1e-12), axis=1)


def take_scenes(scenes: Sequence[Scene], separator: Separator, *, seconds: float) -> Iterator[dict[str, Any]]:
    """Separates and scores one scene of two players after another."""
    rate_hz = separator.model.method.audio.rate_hz
    for scene in scenes:
        with _written(scene, seconds) as (folder, truth):
            given = separator.separate_to(folder / "scene.mp4", folder / "two", Output(videos=False), sounds=2)
            windows = json.loads((folder / "two" / "separation.json").read_text(encoding="utf-8"))["windows"]
            stems = np.zeros_like(truth)
            for place, sound in enumerate(given["sounds"]):
                stem = soundfile.read(folder / "two" / sound["file"], frames=truth.shape[1], dtype="float32")[0]
                stems[place, : len(stem)] = stem
            yield {
                "videos": scene.names,
                "counted": _count(folder, separator),
                **scores(
                    soxr.resample(stems.T, RATE_HZ, rate_hz).T,
                    soxr.resample(truth.T, RATE_HZ, rate_hz).T,
                    rate_hz=rate_hz,
                    places=[sound["place"][1] for sound in given["sounds"]],
                    windows=[(window["start_s"], window["end_s"]) for window in windows],
                ),
            }


def count_scenes(scenes: Sequence[Scene], separator: Separator, *, seconds: float) -> Iterator[dict[str, Any]]:
    """Counts the sounds of one scene after another."""
    for scene in scenes:
        with _written(scene, seconds) as (folder, _):
            yield {"videos": scene.names, "counted": _count(folder, separator)}


@contextlib.contextmanager
def _written(scene: Scene, seconds: float) -> Iterator[tuple[Path, Waves]]:
    """Yields a temporary folder that holds a scene as `scene.mp4`, and the true sounds."""
    with tempfile.TemporaryDirectory() as name:
        truth = true_sounds(scene.files, seconds=seconds)
        write_scene(Path(name) / "scene.mp4", scene.files, truth)
        yield Path(name), truth


def _count(folder: Path, separator: Separator) -> int:
    """Returns the number of sounds that are found when it is not given."""
    return len(separator.separate_to(folder / "scene.mp4", folder / "any", Output(videos=False))["sounds"])


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns means with confidence intervals over videos."""
    names = ("nsdr", "nsdr_best_order", "sdr", "right_player", "keeps_number")
    values = {name: np.array([np.mean(row[name]) for row in rows]) for name in names}
    return {name: summarise(value, [row["videos"] for row in rows]) for name, value in values.items()}


def share_counted(rows: Sequence[dict[str, Any]], players: int) -> Any:
    """Returns the share of scenes in which all players were counted, with its confidence interval over videos."""
    right = np.array([row["counted"] == players for row in rows], float)
    return summarise(right, [row["videos"] for row in rows])


def main() -> None:
    """Runs the benchmark."""
    values = flags.FLAGS
    path = record.check_file(values.json)
    environment.prepare()
    separator = Separator(load(values.workdir), names=False, keep_places=False)
    scenes = {2: scenes_by_flags(values.scenes)}
    if values.counted:
        scenes |= {players: scenes_by_flags(values.counted, players=players) for players in (1, 3)}
    rows: dict[int, list[dict[str, Any]]] = {}
    for players, drawn in scenes.items():
        take = take_scenes if players == 2 else count_scenes
        found = take(drawn, separator, seconds=values.seconds)
        rows[players] = list(tqdm.tqdm(found, desc=f"{players} players", total=len(drawn), unit="scene"))
    names = {1: "one", 2: "two", 3: "three"}
    counted = {f"counted_{names[players]}": share_counted(rows[players], players) for players in sorted(rows)}
    results = {"split": values.split, "summary": summary(rows[2]) | counted, "scenes": rows}
    record.write(path, results)
    for name, estimate in results["summary"].items():
        low, high = estimate["ci95"] or (float("nan"),) * 2
        sys.stdout.write(f"{name:<16} {estimate['mean']:6.2f} [{low:6.2f}, {high:6.2f}]\n")


if __name__ == "__main__":
    define_flags()
    flags.DEFINE_integer("scenes", 40, "Number of scenes with two players.", lower_bound=1)
    flags.DEFINE_integer("counted", 30, "Number of scenes with one, and with three players.", lower_bound=0)
    flags.DEFINE_float("seconds", 24.0, "Longest part of each solo in seconds.", lower_bound=1.0)
    command.run(main)
