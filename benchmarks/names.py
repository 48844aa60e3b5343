"""Measures how many sounds `separate` names right: `python -m benchmarks.names --json=FILE [--pictures=DIR]`.

Three sets of the test split, each with a table by class:

* `players_found`: rendered solos, separated with `--sounds=1`; the places are those that the model finds.
* `players_true`: the same solos; the places are the centres of the players' boxes.
* `pictures`: pictures of instruments that nothing was trained on (`gather_pictures`), 200 px large in the middle of
  white and grey frames of 320 px. A picture is one sound, with both frames as its pictures.

An instrument that ImageNet has a class for is named right, named wrong, or unknown. Shares have 95 % Wilson intervals.
`top1` is the share whose most probable name is right, whatever its probability. An instrument without a class in
ImageNet should be unknown, and any name counts as wrong. `best_threshold` is the threshold with the most right minus
wrong names over all sounds. `CROP_SHARE` and `UNKNOWN_BELOW` of `mpnet_jax.separation.names` were chosen with
`--split=validation`.
"""

import dataclasses
import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tqdm
from absl import flags
from PIL import Image

from benchmarks.harness import record
from data_pipeline import command
from data_pipeline.command import InputError
from data_pipeline.media import reader
from data_pipeline.rendered.pictures.folder import find_pictures
from data_pipeline.rendered.pictures.raster import read_cutout
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.staging.splits import assign_splits
from mpnet_jax.pretrained.imagenet_names import NAME_OF_LABEL

FRAME_PX, PICTURE_PX = 320, 200
BACKGROUNDS = (255, 128)
_Z = 1.96


class Named(NamedTuple):
    """One sound and its most probable name.

    Attributes:
        id: Solo or picture.
        label: Its class.
        name: The most probable name; None if the sound was not found.
        probability: The name's probability, 0 to 1.
    """

    id: str
    label: str
    name: str | None
    probability: float


class Solo(NamedTuple):
    """A rendered solo.

    Attributes:
        id: Its name in the manifest.
        label: Its class.
        file: The video; a JSON file with the player's boxes lies beside it.
    """

    id: str
    label: str
    file: Path


def read_solos(videos: Path, manifest: Path, split: str) -> list[Solo]:
    """Lists the solos of a split.

    Raises:
        InputError: The set does not exist, or the split is empty.
    """
    if not manifest.is_file():
        raise InputError(f"{manifest} does not exist; prepare the set (make wide-data) or give --data_dir, --name")
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    solos = [Solo(row["name"], row["class"], videos / row["file"]) for row in rows if row["split"] == split]
    if not solos:
        raise InputError(f"{manifest} has no solos in its {split} split; prepare more solos")
    return solos


def players_true(solos: Sequence[Solo], namer: Any) -> Iterator[Named]:
    """Yields the solos with the names of the squares around their players' centres."""
    from mpnet_jax.separation.names import PICTURES, Sighting, SoundName, read_crops
    from mpnet_jax.separation.source import VideoFile

    for solo in solos:
        facts = json.loads(solo.file.with_suffix(".json").read_text(encoding="utf-8"))
        sightings = []
        for part in range(PICTURES):
            time_s = facts["seconds"] * (part + 0.5) / PICTURES
            top, left, bottom, right = facts["boxes"][min(int(time_s * facts["fps"]), len(facts["boxes"]) - 1)]
            sightings.append(Sighting(time_s, 1, (0.5 * (top + bottom), 0.5 * (left + right))))
        picture_px = reader.probe(solo.file).picture_px
        assert picture_px is not None
        crops = read_crops(VideoFile(solo.file), sightings, picture_px=picture_px, share=namer.crop_share)[1]
        yield Named(solo.id, solo.label, *SoundName.of(namer.probabilities(crops)).candidates[0])


def players_found(solos: Sequence[Solo], namer: Any, workdir: Path | None) -> Iterator[Named]:
    """Separates the solos and yields them with the names that `separate` gives."""
    from mpnet_jax.separation.output import Output
    from mpnet_jax.separation.separator import Separator

    separator = Separator(workdir, sounds=1, names=namer, keep_places=False)
    for solo in solos:
        with tempfile.TemporaryDirectory() as folder:
            summary = separator.separate_to(solo.file, Path(folder) / "out", Output(videos=False))
        best = [sound["name_candidates"][0] for sound in summary["sounds"] if sound["name_candidates"]]
        name, probability = best[0] if best else (None, 0.0)
        yield Named(solo.id, solo.label, name, probability)


def pictures(folder: Path, split: str, namer: Any) -> Iterator[Named]:
    """Yields the pictures of a split with their names.

    Raises:
        InputError: The folder holds no usable picture.
    """
    from mpnet_jax.separation.names import SoundName, crop_around

    found = find_pictures(folder, CLASSES).pictures
    splits = assign_splits([picture.sha256 for picture in found], {p.sha256: p.label for p in found})
    for picture in found:
        if splits[picture.sha256] == split:
            image = read_cutout(picture.path).image
            crops = [crop_around(in_frame(image, grey), (0.5, 0.5), namer.crop_share) for grey in BACKGROUNDS]
            yield Named(picture.name, picture.label, *SoundName.of(namer.probabilities(crops)).candidates[0])


def in_frame(image: Image.Image, grey: int) -> np.ndarray:
    """Returns a frame, uint8 (320, 320, 3) of one grey level, with an RGBA image in its middle."""
    scale = PICTURE_PX / max(image.size)
    width, height = (max(1, round(scale * side)) for side in image.size)
    frame = Image.new("RGBA", (FRAME_PX, FRAME_PX), (grey, grey, grey, 255))
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    frame.alpha_composite(image, ((FRAME_PX - width) // 2, (FRAME_PX - height) // 2))
    return np.asarray(frame.convert("RGB"))


def wilson(right: int, count: int) -> dict[str, Any]:
    """Returns a share with its 95 % Wilson interval; both are None without examples.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not count:
        return {"share": None, "ci95": None, "count": 0}
    share, square = right / count, _Z**2 / count
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return {"share": share, "ci95": [max(0.0, middle - half), min(1.0, middle + half)], "count": count}


def summarise(sounds: Sequence[Named], threshold: float) -> dict[str, Any]:
    """Sums up one set; see the module.

    Args:
        sounds: The sounds.
        threshold: A sound whose name is less probable is unknown.
    """
    by_class: dict[str, dict[str, int]] = defaultdict(lambda: {"right": 0, "wrong": 0, "unknown": 0, "top1": 0})
    for sound in sounds:
        is_right = _is_right(sound)
        known = sound.name is not None and sound.probability >= threshold
        by_class[sound.label][("right" if is_right else "wrong") if known else "unknown"] += 1
        by_class[sound.label]["top1"] += is_right
    nameable = [row for label, row in by_class.items() if label in NAME_OF_LABEL]
    others = [row for label, row in by_class.items() if label not in NAME_OF_LABEL]
    total = {key: sum(row[key] for row in nameable) for key in ("right", "wrong", "unknown", "top1")}
    count = sum(total[key] for key in ("right", "wrong", "unknown"))
    refused = sum(row["unknown"] for row in others)
    return {
        "top1": wilson(total["top1"], count),
        "right": wilson(total["right"], count),
        "wrong": wilson(total["wrong"], count),
        "unknown": wilson(total["unknown"], count),
        "right_of_named": wilson(total["right"], total["right"] + total["wrong"]),
        "without_class_unknown": wilson(refused, refused + sum(row["wrong"] for row in others)),
        "by_class": {label: by_class[label] for label in sorted(by_class)},
    }


def best_threshold(sounds: Sequence[Named]) -> dict[str, float]:
    """Returns the lowest threshold with the most right minus wrong names, and that difference."""
    thresholds = [0.0, *sorted({sound.probability for sound in sounds}), 1.0]
    scores = [sum((1 if _is_right(s) else -1) for s in sounds if s.probability >= t) for t in thresholds]
    best = int(np.argmax(scores))
    return {"threshold": thresholds[best], "right_minus_wrong": scores[best]}


def _is_right(sound: Named) -> bool:
    return sound.name is not None and sound.name == NAME_OF_LABEL.get(sound.label)


def table(name: str, summary: dict[str, Any]) -> str:
    """Formats the summary of one set as text."""
    lines = [f"{name}"]
    for key in ("top1", "right", "wrong", "unknown", "right_of_named", "without_class_unknown"):
        estimate = summary[key]
        if estimate["count"]:
            low, high = estimate["ci95"]
            lines.append(f"  {key:<22} {estimate['share']:.2f} [{low:.2f}, {high:.2f}] of {estimate['count']}")
    lines.append(f"  {'class':<22} right wrong unknown top1")
    for label, row in summary["by_class"].items():
        lines.append(f"  {label:<22} {row['right']:5d} {row['wrong']:5d} {row['unknown']:7d} {row['top1']:4d}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the benchmark."""
    values = flags.FLAGS
    path = record.check_file(values.json)
    solos = read_solos(values.videos, values.data_dir / values.name / "1.0.0" / "manifest.jsonl", values.split)
    from mpnet_jax.pretrained import imagenet
    from mpnet_jax.processes import environment
    from mpnet_jax.separation.names import CROP_SHARE, UNKNOWN_BELOW, load_namer

    imagenet.installed_file()  # Raises an error that says how to install the classifier.
    environment.prepare()
    loaded = load_namer()
    assert loaded is not None
    namer = dataclasses.replace(loaded, crop_share=values.crop_share or CROP_SHARE)
    sets = {"players_true": players_true(solos, namer)}
    if values.separate:
        sets = {"players_found": players_found(solos, namer, values.workdir)} | sets
    if values.pictures:
        sets["pictures"] = pictures(values.pictures, values.split, namer)
    sounds = {name: list(tqdm.tqdm(each, desc=name, unit="sound")) for name, each in sets.items()}
    results = {
        "split": values.split,
        "crop_share": namer.crop_share,
        "threshold": UNKNOWN_BELOW,
        "summary": {name: summarise(each, UNKNOWN_BELOW) for name, each in sounds.items()},
        "best_threshold": best_threshold([sound for each in sounds.values() for sound in each]),
        "sounds": {name: [sound._asdict() for sound in each] for name, each in sounds.items()},
    }
    record.write(path, results)
    for name, summary in results["summary"].items():
        sys.stdout.write(table(name, summary))
    sys.stdout.write(
        "most right minus wrong names: {right_minus_wrong} at {threshold:.3f}\n".format(**results["best_threshold"])
    )


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    command.define_path("workdir", None, "Folder of a trained run that finds the places; the shipped model by default.")
    command.define_path("videos", "data/videos/rendered_wide", "Folder of rendered solos.")
    command.define_path("data_dir", "data", "Folder of prepared sets.")
    flags.DEFINE_string("name", "rendered_wide", "Name of the set prepared from the solos, which holds their splits.")
    command.define_path("pictures", None, "Folder of pictures as <class>/*.svg; without it this set is left out.")
    flags.DEFINE_enum("split", "test", ("train", "validation", "test"), "Split of the solos and of the pictures.")
    flags.DEFINE_bool("separate", True, "Measure players_found, which takes the longest.")
    flags.DEFINE_float(
        "crop_share",
        None,
        "Side of the crop as a fraction of the frame's shorter side; `separate`'s by default.",
        0.05,
        1.0,
    )
    command.run(main)
