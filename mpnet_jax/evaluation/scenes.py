"""Measures how well the energy map of Eq. 7 locates the sounding player in scenes with known boxes."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from mpnet_jax.metrics import localisation as metric
from mpnet_jax.metrics.aggregate import summarise
from mpnet_jax.report.sections.places import PlaceExample
from mpnet_jax.steps.device_pass import HostBatch, Separator

OURS = "energy map"


@dataclasses.dataclass(frozen=True)
class Scene:
    """A frame with one or two players of whom one sounds, and its energy map.

    Attributes:
        index: Index in the list of mixtures.
        frame: RGB frame.
        energy: Energy of the sound that the network separates for each place.
        box: Box of the sounding player: top, left, bottom, right as shares of the frame; NaN where unknown.
        other: Box of the silent player; NaN without one.
    """

    index: int
    frame: UInt8[np.ndarray, "height width 3"]
    energy: Float[np.ndarray, "rows columns"]
    box: Float[np.ndarray, "4"]
    other: Float[np.ndarray, "4"]


def scenes(separator: Separator, batches: Iterable[HostBatch]) -> Iterator[Scene]:
    """Computes the energy map of each mixture in one frame that shows all its sources side by side.

    The first source, the sounding one, stands on the left in mixtures with an even index and on the right in the
    others.

    Args:
        separator: A pass of `place_step`.
        batches: Batches of `loader.evaluation_batches` with one frame per source; only the first source sounds.

    Yields:
        A scene for every valid mixture.
    """
    for batch in batches:
        sources = batch["frames"].shape[1]
        reversed_order = (batch["index"] % 2 == 1) & (sources > 1)
        order = np.where(reversed_order[:, None], np.arange(sources)[::-1], np.arange(sources))
        frames = np.take_along_axis(batch["frames"], order[:, :, None, None, None, None], axis=1)
        picture = np.concatenate(list(frames.swapaxes(0, 1)), axis=-2)  # (batch, frame, height, source * width, 3)
        inputs = {name: batch[name] for name in ("mixture_magnitude", "mixture_phase")} | {"frames": picture}
        energy = separator(inputs)["energy"][:, 0]
        boxes = batch["boxes"][:, :, 0].astype(np.float64)
        for i in np.flatnonzero(batch["valid"]):
            side_by_side = [_moved(boxes[i, source], place, sources) for place, source in enumerate(order[i])]
            sounding = int(np.flatnonzero(order[i] == 0)[0])
            others = [box for place, box in enumerate(side_by_side) if place != sounding]
            yield Scene(
                index=int(batch["index"][i]),
                frame=picture[i, 0],
                energy=energy[i].astype(np.float64),
                box=side_by_side[sounding],
                other=others[0] if others else np.full(4, np.nan),
            )


def maps_of_sources(separator: Separator, batch: HostBatch) -> Float[np.ndarray, "batch source rows columns"]:
    """Returns the energy map of a mixture in each source's own frame.

    Args:
        separator: A pass of `place_step`.
        batch: A batch of `loader.evaluation_batches`.
    """
    maps = []
    for source in range(batch["frames"].shape[1]):
        inputs = {name: batch[name] for name in ("mixture_magnitude", "mixture_phase")}
        maps.append(separator(inputs | {"frames": batch["frames"][:, source]})["energy"][:, 0])
    return np.stack(maps, axis=1)


def _moved(box: np.ndarray, place: int, places: int) -> np.ndarray:
    """Converts a box from shares of one of several frames side by side to shares of all of them."""
    return np.array([box[0], (place + box[1]) / places, box[2], (place + box[3]) / places])


def _centre(scene: Scene) -> np.ndarray:
    """Returns a map that decreases from the centre of the frame."""
    rows, columns = scene.energy.shape
    down = (np.arange(rows) + 0.5) / rows - 0.5
    right = (np.arange(columns) + 0.5) / columns - 0.5
    return 1.0 - np.hypot(*np.meshgrid(down, right, indexing="ij")) / np.hypot(0.5, 0.5)


def _random(scene: Scene) -> np.ndarray:
    return np.random.default_rng(scene.index).uniform(size=scene.energy.shape)


GUESSES: dict[str, Callable[[Scene], np.ndarray]] = {
    OURS: lambda scene: scene.energy,
    "centre": _centre,
    "random": _random,
}


def scores_of(scene: Scene, energy: np.ndarray) -> dict[str, float]:
    """Returns the scores of a map in a scene: `pointing`, `iou`, `auc`, `player`; NaN where undefined."""
    return {
        "pointing": metric.pointing(energy, scene.box),
        "iou": metric.iou_at_half(energy, scene.box),
        "auc": metric.area_under_curve(energy, scene.box),
        "player": metric.right_player(energy, scene.box, scene.other),
    }


def localisation_results(name: str, found: Sequence[Scene], video_ids: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Returns mean scores with intervals over scenes of one kind, for the energy map and for the baselines.

    Args:
        name: Name of the kind of scene.
        found: Scenes of this kind.
        video_ids: Videos of each scene's clips.

    Returns:
        JSON-ready dict: `scene` (the name), `scenes` (their number), `box_share` (mean and maximum share of the frame),
        `guesses` (scores by map), and `by_mixture` (the energy map's scores in each scene, None where undefined).
    """
    shares = np.array([(s.box[2] - s.box[0]) * (s.box[3] - s.box[1]) for s in found])
    guesses: dict[str, Any] = {}
    by_mixture: dict[str, Any] = {}
    for guess, make in GUESSES.items():
        rows = [scores_of(scene, make(scene)) for scene in found]
        values = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        summaries = {key: summarise(of_scenes, video_ids) for key, of_scenes in values.items()}
        guesses[guess] = {key: summary for key, summary in summaries.items() if summary["count"]}
        if guess == OURS:
            listed = {key: [value if np.isfinite(value) else None for value in values[key].tolist()] for key in values}
            by_mixture = {"video_ids": [list(ids) for ids in video_ids], "methods": {OURS: listed}}
    known = shares[np.isfinite(shares)]
    share = {"mean": float(known.mean()), "max": float(known.max())} if len(known) else {"mean": None, "max": None}
    return {"scene": name, "scenes": len(found), "box_share": share, "guesses": guesses, "by_mixture": by_mixture}


def place_examples(found: Sequence[Scene], classes: Sequence[Sequence[str]], *, most: int) -> list[PlaceExample]:
    """Returns scenes for the report, evenly spread from the best to the worst by area under the curve.

    Args:
        found: Scenes in the order of their list.
        classes: Classes of each scene's players, the sounding one first.
        most: Greatest number of examples.
    """
    scored = [(scores_of(scene, scene.energy), scene) for scene in found]
    known = sorted((s for s in scored if np.isfinite(s[0]["auc"])), key=lambda s: -s[0]["auc"])
    places = np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int))
    examples = []
    for scores, scene in (known[place] for place in places):
        sounding, *others = classes[scene.index]
        silent = f", beside a silent {others[0]}" if others else ""
        examples.append(
            PlaceExample(
                title=f"{sounding} sounds{silent}",
                frame=scene.frame,
                heat=scene.energy,
                box=tuple(scene.box.tolist()),
                hit=scores["pointing"] == 1.0,
                note=f"AUC {scores['auc']:.2f}, IoU {scores['iou']:.2f}",
            )
        )
    return examples
