"""Whether the energy map of Eq. 7 points to the player who sounds, in scenes whose boxes are known."""

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
    """One picture, the sound of one player in it, and where the network hears it.

    Attributes:
        index: place in the list of mixtures.
        frame: the picture.
        energy: of its places, by the sound that each would take.
        box: of the player who sounds; top, left, bottom, right in shares of the picture, NaN where unknown.
        other: of the player who is silent; NaN where there is none.
    """

    index: int
    frame: UInt8[np.ndarray, "height width 3"]
    energy: Float[np.ndarray, "rows columns"]
    box: Float[np.ndarray, "4"]
    other: Float[np.ndarray, "4"]


def scenes(separator: Separator, batches: Iterable[HostBatch]) -> Iterator[Scene]:
    """Looks for the sound of each sample's first source in one picture that shows all its sources side by side.

    The sounding player stands on the left in samples of even index, on the right in the others.

    Args:
        separator: a pass of `place_step`.
        batches: of `loader.evaluation_batches` with one picture a source, of which at most the first sounds.

    Yields:
        Every valid sample once.
    """
    for batch in batches:
        sources = batch["frames"].shape[1]
        turned = (batch["index"] % 2 == 1) & (sources > 1)
        order = np.where(turned[:, None], np.arange(sources)[::-1], np.arange(sources))
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
    """How much of a mixture's sound each place of each source's own picture would take.

    Args:
        separator: a pass of `place_step`.
        batch: of `loader.evaluation_batches`.
    """
    maps = []
    for source in range(batch["frames"].shape[1]):
        inputs = {name: batch[name] for name in ("mixture_magnitude", "mixture_phase")}
        maps.append(separator(inputs | {"frames": batch["frames"][:, source]})["energy"][:, 0])
    return np.stack(maps, axis=1)


def _moved(box: np.ndarray, place: int, places: int) -> np.ndarray:
    """A box in shares of one picture of several side by side, in shares of them all."""
    return np.array([box[0], (place + box[1]) / places, box[2], (place + box[3]) / places])


def _centre(scene: Scene) -> np.ndarray:
    """A guess that falls off from the middle of the picture."""
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
    """How well one map fits one scene: `pointing`, `iou`, `auc`, `player`; NaN where undefined."""
    return {
        "pointing": metric.pointing(energy, scene.box),
        "iou": metric.iou_at_half(energy, scene.box),
        "auc": metric.area_under_curve(energy, scene.box),
        "player": metric.right_player(energy, scene.box, scene.other),
    }


def localisation_results(name: str, found: Sequence[Scene], video_ids: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Means with intervals of a kind of scene, of the energy map and of guesses beside it.

    Args:
        name: of the kind.
        found: its scenes.
        video_ids: of each scene's clips.

    Returns:
        JSON-ready dict: `scene`, `scenes` (how many), `box_share` (mean and max share of the picture), `guesses`, and
        `by_mixture` (the energy map's values of each scene, None where undefined).
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
    """Scenes for the report: the best, middle and worst by area under the curve, so that the page flatters nobody.

    Args:
        found: scenes in the order of their list.
        classes: of each scene's players, the sounding one first.
        most: how many are shown at most.
    """
    scored = [(scores_of(scene, scene.energy), scene) for scene in found]
    known = sorted((s for s in scored if np.isfinite(s[0]["auc"])), key=lambda s: -s[0]["auc"])
    places = np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int))
    examples = []
    for scores, scene in (known[place] for place in places):
        sounding, *others = classes[scene.index]
        beside = f", beside a silent {others[0]}" if others else ""
        examples.append(
            PlaceExample(
                title=f"{sounding} sounds{beside}",
                frame=scene.frame,
                heat=scene.energy,
                box=tuple(scene.box.tolist()),
                hit=scores["pointing"] == 1.0,
                note=f"AUC {scores['auc']:.2f}, IoU {scores['iou']:.2f}",
            )
        )
    return examples
