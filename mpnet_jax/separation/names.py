"""Names each sound by what the picture shows at its place, with a classifier that was trained on ImageNet.

A sound has up to `PICTURES` pictures: the time from its first to its last window is divided into as many parts, and
each part gives the window in which the sound is the greatest fraction of the mixture. From the frame in the middle of
that window, a square around the sound's place is classified. A name's probability is the sum of the softmax over its
ImageNet classes, averaged over the pictures. The softmax covers all 1000 classes, so other objects take their share and
the sound stays unknown. The settings below were chosen by `benchmarks.names` on validation data.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Float, UInt8
from PIL import Image

from data_pipeline.command import InputError
from mpnet_jax.models.efficientnet import CLASSES, EfficientNetLite0, ImageNetHead, normalise_pictures
from mpnet_jax.pretrained import imagenet
from mpnet_jax.pretrained.imagenet_names import CLASSES_OF, NAMES, label
from mpnet_jax.separation.source import Source

PICTURES = 8  # Pictures of a sound.
CROP_PX = 224  # Side of the classifier's pictures.
CROP_SHARE = 0.65  # Side of the square around a place, as a fraction of the frame's shorter side.
UNKNOWN_BELOW = 0.17  # A sound whose most probable name is less probable has no name.
# Only this many seconds after a sound's first window are searched, so that a long video is not decoded once more.
_SEARCHED_S = 300.0
_CANDIDATES = 3

Crop = UInt8[np.ndarray, "side side 3"]
Probabilities = Float[np.ndarray, " name"]


class Sighting(NamedTuple):
    """A picture of a sound.

    Attributes:
        time_s: Time of the frame in seconds.
        number: Number of the sound.
        place: From the top and from the left, in fractions of the frame.
    """

    time_s: float
    number: int
    place: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class SoundName:
    """What a sound may be called.

    Attributes:
        candidates: The most probable names with their probabilities, in descending order; empty without pictures.
    """

    candidates: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, probabilities: Probabilities) -> "SoundName":
        """Returns the name of a sound from the probabilities of `NAMES`."""
        best = np.argsort(-probabilities, kind="stable")[:_CANDIDATES]
        return cls(tuple((NAMES[index], float(probabilities[index])) for index in best))

    @property
    def name(self) -> str | None:
        """The most probable name; None if it is less probable than `UNKNOWN_BELOW`."""
        return self.candidates[0][0] if self.candidates and self.candidates[0][1] >= UNKNOWN_BELOW else None

    @property
    def file_suffix(self) -> str:
        """The name as a part of a file name, such as "_acoustic_guitar"; empty if it is unknown."""
        return "" if self.name is None else f"_{label(self.name)}"

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-ready `name` and `name_probability` (both None if unknown) and `name_candidates`."""
        return {
            "name": self.name,
            "name_probability": None if self.name is None else round(self.candidates[0][1], 4),
            "name_candidates": [[name, round(probability, 4)] for name, probability in self.candidates],
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Namer:
    """The classifier.

    Attributes:
        weights: `variables` of `EfficientNetLite0` and `classifier` of `ImageNetHead`.
        crop_share: See `crop_around`.
    """

    weights: Mapping[str, Any]
    crop_share: float = CROP_SHARE

    def probabilities(self, crops: Sequence[Crop]) -> Probabilities:
        """Returns the probability of each name, averaged over pictures of one sound.

        Args:
            crops: 1 to `PICTURES` pictures. Fewer are padded, so that one shape is compiled.

        Raises:
            ValueError: There are no pictures, or too many.
        """
        if not 1 <= len(crops) <= PICTURES:
            raise ValueError(f"crops has {len(crops)} pictures; give 1 to {PICTURES}")
        padded = np.zeros((PICTURES, *crops[0].shape), np.uint8)
        padded[: len(crops)] = crops
        return np.asarray(_classify(self.weights, padded))[: len(crops)].mean(axis=0)


@functools.cache
def load_namer() -> Namer | None:
    """Loads the pretrained classifier; if it is not installed, logs a line and returns None."""
    try:
        pretrained = imagenet.efficientnet_lite0()
    except InputError as error:
        logging.warning("sounds get no names: %s", error)
        return None
    return Namer(jax.device_put({"variables": pretrained.variables, "classifier": pretrained.classifier}))


@jax.jit
def _classify(weights: Mapping[str, Any], pictures: Any) -> Any:
    """Returns the probabilities (picture, name) of pictures (picture, height, width, 3)."""
    features = EfficientNetLite0(dilated=False).apply(weights["variables"], normalise_pictures(pictures))
    # (picture, h, w, 1280) -> (picture, 1280)
    pooled = jnp.mean(jnp.asarray(features), axis=(1, 2))
    logits = jnp.asarray(ImageNetHead().apply({"params": {"classifier": weights["classifier"]}}, pooled))
    members = np.zeros((CLASSES, len(NAMES)), np.float32)
    for column, classes in enumerate(CLASSES_OF.values()):
        members[list(classes), column] = 1.0
    return jax.nn.softmax(logits) @ members


def name_sounds(
    source: Source,
    windows: Iterable[Mapping[str, Any]],
    spans: Mapping[int, tuple[float, float]],
    namer: Namer,
    *,
    picture_px: tuple[int, int],
) -> dict[int, SoundName]:
    """Names the sounds of a separated video; memory does not grow with its length.

    Args:
        source: The video.
        windows: Windows of `journal.read_windows`.
        spans: Start of the first and end of the last window of each sound, in seconds, by its number.
        namer: The classifier.
        picture_px: Height and width of the video's frames.

    Returns:
        The names by the sounds' numbers.
    """
    sightings = choose_sightings(windows, spans)
    crops = read_crops(source, sightings, picture_px=picture_px, share=namer.crop_share)
    return {
        number: SoundName.of(namer.probabilities(crops[number])) if number in crops else SoundName() for number in spans
    }


def choose_sightings(windows: Iterable[Mapping[str, Any]], spans: Mapping[int, tuple[float, float]]) -> list[Sighting]:
    """Chooses the pictures of all sounds; see the module.

    Args:
        windows: Windows of `journal.read_windows`, in their order.
        spans: See `name_sounds`.

    Returns:
        At most `PICTURES` sightings of each sound, in the order of their times.
    """
    best: dict[tuple[int, int], tuple[float, Sighting]] = {}
    for window in windows:
        time_s = 0.5 * (window["start_s"] + window["end_s"])
        for sound in window["sounds"]:
            first_s, last_s = spans[sound["number"]]
            length_s = min(last_s - first_s, _SEARCHED_S)
            part = int(PICTURES * (time_s - first_s) / length_s) if length_s > 0 else 0
            key = (sound["number"], part)
            if part < PICTURES and (key not in best or sound["energy"] > best[key][0]):
                down, right = sound["place"]
                best[key] = (sound["energy"], Sighting(time_s, sound["number"], (down, right)))
    return sorted(sighting for _, sighting in best.values())


def read_crops(
    source: Source, sightings: Sequence[Sighting], *, picture_px: tuple[int, int], share: float = CROP_SHARE
) -> dict[int, list[Crop]]:
    """Reads the squares around the sightings' places in one pass over the video.

    Args:
        source: The video.
        sightings: In the order of their times.
        picture_px: Height and width of the video's frames.
        share: See `crop_around`.

    Returns:
        The crops of each sound by its number; a sound without sightings is left out.
    """
    crops: dict[int, list[Crop]] = {}
    # Frames are reduced while they are decoded; a crop of a large video then needs no further resizing.
    side_px = max(2, min(round(CROP_PX / share), *picture_px))
    times = (sighting.time_s for sighting in sightings)
    frames = source.frames(times, side_px, threads=2) if sightings else ()
    for sighting, frame in zip(sightings, frames, strict=True):
        crops.setdefault(sighting.number, []).append(crop_around(frame, sighting.place, share))
    return crops


def crop_around(
    frame: UInt8[np.ndarray, "height width 3"], place: tuple[float, float], share: float = CROP_SHARE
) -> Crop:
    """Returns the square around a place, moved into the frame and resized with antialiasing.

    Args:
        frame: The frame.
        place: From the top and from the left, in fractions of the frame.
        share: Side of the square as a fraction of the frame's shorter side, above 0 and at most 1.
    """
    side = max(1, round(share * min(frame.shape[:2])))
    corner = [
        int(np.clip(round(at * length - side / 2), 0, length - side))
        for at, length in zip(place, frame.shape[:2], strict=True)
    ]
    square = np.ascontiguousarray(frame[corner[0] : corner[0] + side, corner[1] : corner[1] + side])
    if side == CROP_PX:
        return square
    return np.asarray(Image.fromarray(square).resize((CROP_PX, CROP_PX), Image.Resampling.BICUBIC))
