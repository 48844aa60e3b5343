"""MIML's bank: bases of training clips with the clips' classes, in the workdir; and what is taken from it.

The bank is made before training, piece by piece. What was stopped goes on with the piece that is missing, and each is a
pure function of config and data.
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

FOLDER = "bases"  # of the workdir
PIECE = 32  # mixtures of a file


@dataclasses.dataclass(frozen=True)
class BasisBank:
    """Bases of clips in which something sounds.

    Attributes:
        bases: with a greatest value of 1, or of 0 where a clip needs fewer.
        present: 1 for the classes that are there in a clip.
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
    """The bank in a folder, whose missing pieces are made first.

    Args:
        folder: of the pieces; made when missing.
        batches: training mixtures, `PIECE` at a time, from the batch of number `first_step` on.
        factorise: of `miml_step.make_factorise_step`.
        mixtures: how many are used.
        solos: every source of a mixture is a clip, of one class; else the mixture is, of the classes of its sources.
        classes: number of classes.

    Raises:
        InputError: a piece cannot be read.
    """
    paths = _paths(folder, mixtures)
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    if missing:
        folder.mkdir(exist_ok=True)
        logging.info("taking training clips apart into bases, once for the whole run")
        made = batches(first_step=missing[0])
        for number in range(missing[0], len(paths)):
            batch = next(made)
            used = min(mixtures - number * PIECE, PIECE)
            clips, present = _clips({name: x[:used] for name, x in batch.items()}, solos=solos, classes=classes)
            numbers = number * PIECE * (len(clips) // used) + np.arange(len(clips), dtype=np.int32)
            heard = present.any(1)
            bases = factorise({"magnitude": clips[heard], "number": numbers[heard]})["bases"]
            _write(paths[number], BasisBank(bases, present[heard]))
            logging.log_every_n_seconds(logging.INFO, "%d of %d mixtures", 10, number * PIECE + used, mixtures)
    return load(folder, mixtures=mixtures)


def load(folder: Path, *, mixtures: int) -> BasisBank:
    """The bank in a folder.

    Raises:
        InputError: a piece is missing or cannot be read.
    """
    pieces = [_read(path) for path in _paths(folder, mixtures)]
    return BasisBank(np.concatenate([p.bases for p in pieces]), np.concatenate([p.present for p in pieces]))


def training_batches(bank: BasisBank, *, batch_size: int, seed: int, first_step: int = 0) -> Iterator[HostBatch]:
    """Endless batches, each clip once an epoch; batch number i is a pure function of (seed, first_step + i).

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
    """Bases of each class: from the clips in which it is there, those which the network relates to it.

    Args:
        bank: of the training clips.
        relations: of their bases, as shares of all classes.
        threshold: the least relation, in equal shares of all classes: 0 lets every basis of a clip pass, less than 1
            all but those that are related to another class, more than 1 only those that are related to this one.
        most: bases of a class; where more pass, they are drawn, so that they do not all sound alike.

    Returns:
        `most` bases of each class, filled up with zeros; a class without any separates as silence.
    """
    clips, count, freq = bank.bases.shape
    classes = bank.present.shape[1]
    audible = bank.bases.max(-1, keepdims=True) > 0
    passes = (audible & (bank.present[:, None] > 0) & (relations * classes >= threshold)).reshape(-1, classes)
    drawn = np.random.default_rng(0).permutation(clips * count)
    found = np.zeros((classes, most, freq), np.float32)
    for label in range(classes):
        chosen = drawn[passes[drawn, label]][:most]
        found[label, : len(chosen)] = bank.bases.reshape(-1, freq)[chosen]
    if silent := np.flatnonzero(~passes.any(0)).tolist():
        logging.info("no basis passes for the classes of numbers %s, which separate as silence", silent)
    return found


def _clips(batch: HostBatch, *, solos: bool, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes of a batch's clips, and the classes that sound in each."""
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
    way_out = "train with the same command, and it is made again"
    try:
        with np.load(path, allow_pickle=False) as piece:
            return BasisBank(piece["bases"], piece["present"])
    except FileNotFoundError:
        raise InputError(f"{path} is gone; {way_out}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} holds no bases ({error}); delete it and {way_out}") from None
