"""MIML's bank: the bases of training clips with the classes of the clips, in files of the workdir.

The bank is made before training, one file after the other. Each file is a pure function of config and data, so an
interrupted run resumes with the first missing file.
"""

import dataclasses
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from absl import logging
from jaxtyping import Float

from data_pipeline.atomic import atomic_file
from data_pipeline.command import InputError
from mpnet_jax.steps.device_pass import HostBatch, Separator

FOLDER = "bases"  # folder in the workdir
PIECE = 32  # mixtures in a file


@dataclasses.dataclass(frozen=True)
class BasisBank:
    """Bases of the clips that are not silent.

    Attributes:
        bases: Bases with a maximum of 1; zeros where a clip needs fewer bases.
        present: 1 for the classes that occur in a clip, else 0.
    """

    bases: Float[np.ndarray, "clip basis freq"]
    present: Float[np.ndarray, "clip class"]


def load_or_make(
    folder: Path,
    batches: Callable[..., Iterator[HostBatch]],
    factorise: Separator,
    *,
    mixtures: int,
    solos: bool,
    classes: int,
) -> BasisBank:
    """Makes the missing files of a bank, and loads the bank.

    Args:
        folder: Folder of the bank; created when missing.
        batches: Function of `first_step` to batches of `PIECE` training mixtures from that number on.
        factorise: Pass of `steps.make_factorise_step`.
        mixtures: Number of mixtures to use.
        solos: Whether each source of a mixture is a clip of one class; otherwise the mixture is one clip of the
            classes of all its sources.
        classes: Number of classes.

    Raises:
        InputError: A file cannot be read.
    """
    paths = _paths(folder, mixtures)
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    if missing:
        folder.mkdir(exist_ok=True)
        logging.info("factorising the training clips into bases, once for this run")
        stream = batches(first_step=missing[0])
        for number in range(missing[0], len(paths)):
            batch = next(stream)
            used = min(mixtures - number * PIECE, PIECE)
            clips, present = _clips({name: x[:used] for name, x in batch.items()}, solos=solos, classes=classes)
            numbers = number * PIECE * (len(clips) // used) + np.arange(len(clips), dtype=np.int32)
            audible = present.any(1)
            bases = factorise({"magnitude": clips[audible], "number": numbers[audible]})["bases"]
            _write(paths[number], BasisBank(bases, present[audible]))
            logging.log_every_n_seconds(logging.INFO, "%d of %d mixtures", 10, number * PIECE + used, mixtures)
    return load(folder, mixtures=mixtures)


def load(folder: Path, *, mixtures: int) -> BasisBank:
    """Loads the bank in a folder.

    Raises:
        InputError: A file is missing or cannot be read.
    """
    pieces = [_read(path) for path in _paths(folder, mixtures)]
    return BasisBank(np.concatenate([p.bases for p in pieces]), np.concatenate([p.present for p in pieces]))


def training_batches(bank: BasisBank, *, batch_size: int, seed: int, first_step: int = 0) -> Iterator[HostBatch]:
    """Yields endless batches with every clip once per epoch; batch i is a pure function of (seed, first_step + i).

    Yields:
        `bases` (batch, basis, freq) float32 and `present` (batch, class) float32.
    """
    clips = len(bank.bases)
    place = first_step * batch_size
    while True:
        epochs, places = np.divmod(np.arange(place, place + batch_size), clips)
        order = {epoch: np.random.default_rng([seed, epoch]).permutation(clips) for epoch in np.unique(epochs)}
        chosen = [order[epoch][at] for epoch, at in zip(epochs, places, strict=True)]
        yield {"bases": bank.bases[chosen], "present": bank.present[chosen]}
        place += batch_size


def dictionary(
    bank: BasisBank, relations: Float[np.ndarray, "clip basis class"], *, threshold: float, most: int
) -> Float[np.ndarray, "class kept freq"]:
    """Returns the bases of each class: from the clips that contain it, those that the network relates to it.

    Args:
        bank: Bank of the training clips.
        relations: Relation of each basis to each class, as shares that sum to 1 over the classes.
        threshold: Least relation to the class, in units of an equal share 1 / classes. With 0 every basis of a clip
            passes; below 1 only bases that are related to other classes fail; above 1 only bases that are related to
            this class pass.
        most: Greatest number of bases of a class. If more pass, a random subset is drawn, which varies more than the
            bases of the first clips.

    Returns:
        `most` bases of each class, padded with zeros. A class without bases separates as silence.
    """
    clips, count, freq = bank.bases.shape
    classes = bank.present.shape[1]
    audible = bank.bases.max(-1, keepdims=True) > 0
    passes = (audible & (bank.present[:, None] > 0) & (relations * classes >= threshold)).reshape(-1, classes)
    drawn = np.random.default_rng(0).permutation(clips * count)
    bases = np.zeros((classes, most, freq), np.float32)
    for label in range(classes):
        chosen = drawn[passes[drawn, label]][:most]
        bases[label, : len(chosen)] = bank.bases.reshape(-1, freq)[chosen]
    if silent := np.flatnonzero(~passes.any(0)).tolist():
        logging.info("no basis passes for the classes with the labels %s, which separate as silence", silent)
    return bases


def _clips(batch: HostBatch, *, solos: bool, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the magnitudes of a batch's clips, and the classes that sound in each."""
    sources = batch["source_magnitude"]
    present = np.eye(classes, dtype=np.float32)[batch["source_label"]]
    present *= (sources.max((2, 3)) > 0)[..., None]
    if solos:
        return sources.reshape(-1, *sources.shape[2:]), present.reshape(-1, classes)
    return batch["mixture_magnitude"], present.max(1)


def _paths(folder: Path, mixtures: int) -> list[Path]:
    return [folder / f"{number:05d}.npz" for number in range(-(-mixtures // PIECE))]


def _write(path: Path, piece: BasisBank) -> None:
    with atomic_file(path) as draft, draft.open("wb") as file:
        np.savez(file, bases=piece.bases, present=piece.present)


def _read(path: Path) -> BasisBank:
    remedy = "train with the same command, and it is made again"
    try:
        with np.load(path, allow_pickle=False) as piece:
            return BasisBank(piece["bases"], piece["present"])
    except FileNotFoundError:
        raise InputError(f"{path} is gone; {remedy}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} holds no bases ({error}); delete it and {remedy}") from None
