"""The options of an evaluation and the data sets that it needs; both are checked before anything slow."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_pipeline.command import InputError
from data_pipeline.records.store import RecordStore
from mpnet_jax.run.data import open_splits

if TYPE_CHECKING:
    from mpnet_jax.methods.registry import Method  # which imports JAX

_MOST_SOUNDS = 8


@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
    """What to evaluate.

    Attributes:
        split: "train", "validation" or "test".
        checkpoint: "best" (the best of each result by validation, such as of MP-Net and of M-Net) or "latest".
        mixes: Numbers of sounds to evaluate besides the run's own.
        counting: Whether to count the sounds of mixtures with silent clips, with clips and with places as candidates.
        localisation: Whether to locate the sounding player.
        far: Whether to separate mixtures of a data set far from the training data.
    """

    split: str
    checkpoint: str = "best"
    mixes: tuple[int, ...] = ()
    counting: bool = False
    localisation: bool = False
    far: bool = False


def parse_mixes(given: Sequence[str]) -> tuple[int, ...]:
    """Returns the numbers of sounds of `--mix` in ascending order.

    Raises:
        InputError: An element is no number from 2 to `_MOST_SOUNDS`.
    """
    try:
        numbers = sorted({int(number) for number in given})
    except ValueError:
        numbers = [0]
    if numbers and not 2 <= numbers[0] <= numbers[-1] <= _MOST_SOUNDS:
        raise InputError(
            f"--mix={','.join(given)} must be numbers of sounds from 2 to {_MOST_SOUNDS}; try --mix=2,3,4,5"
        )
    return tuple(numbers)


def open_stores(method: "Method", options: EvaluationOptions) -> dict[str, RecordStore]:
    """Opens every data set that an evaluation needs.

    Args:
        method: The method of the run.
        options: What to evaluate.

    Returns:
        The stores of `options.split` and, if needed, of "validation", "places" and "far".

    Raises:
        InputError: An option does not fit the method, the split or the data.
    """
    _check(method, options)
    data = method.data
    stores = open_splits(data, tuple(dict.fromkeys([options.split, *(["validation"] if options.counting else [])])))
    for split, store in stores.items():
        method.check_classes(store.classes, store.folder)
        if options.mixes:
            _require_sounds(method, store, options.mixes[-1], f"--mix={options.mixes[-1]} on {split}")
        if options.counting:
            clips = method.evaluation.counting_clips
            _require_sounds(method, store, clips, f"config.evaluation.counting.clips={clips} on {split}")
    if options.localisation:
        stores["places"] = _open_places(method)
    if options.far:
        stores["far"] = _open_far(method, stores[options.split].classes)
    return stores


def _check(method: "Method", options: EvaluationOptions) -> None:
    """Raises InputError for options that do not fit the method or the split."""
    if options.counting or options.localisation:
        method.check_recursion("--counting" if options.counting else "--localisation")
    if options.counting and options.split == "validation":
        raise InputError(
            "--counting chooses epsilon on the validation split and cannot report on it; take --split=test"
        )
    if options.localisation and options.split != "test":
        raise InputError(f"--localisation has scenes for the test split alone, not for --split={options.split}")
    if options.far and options.split != "test":
        raise InputError(f"--far is a test set, not for --split={options.split}; leave it out, or take --split=test")


def _require_sounds(method: "Method", store: RecordStore, sounds: int, what: str) -> None:
    long_enough = [clip for clip in store.clips if clip.samples >= method.audio.clip_samples]
    same = method.data.mixing.same_class
    available = len({clip.video_id for clip in long_enough} if same else {clip.label for clip in long_enough})
    if available < sounds:
        kind = "videos" if same else "classes"
        raise InputError(f"{what} needs {sounds} {kind} that are long enough, the split has {available}; ask for fewer")


def _open_places(method: "Method") -> RecordStore:
    """Opens the data set of scenes with known boxes."""
    folder, spec = method.data.directory / method.evaluation.places_name, method.evaluation
    if not folder.is_dir():
        raise InputError(
            f"--localisation needs the data set {folder} (config.evaluation.places.name); "
            "`make quickstart-report` renders and prepares one, docs/METRICS.md says how"
        )
    store = RecordStore.open(folder.parent, folder.name, "test")
    store.require(dataclasses.replace(method.data.records, frame_px=spec.places_frame_px))
    _require_sounds(method, store, 2, f"--localisation in {folder}")
    return store


def _open_far(method: "Method", classes: Sequence[str]) -> RecordStore:
    """Opens the data set far from the training data."""
    folder = method.data.directory / method.evaluation.far_name
    if not folder.is_dir():
        raise InputError(
            f"--far needs the data set {folder} (config.evaluation.far.name); prepare one of the same sizes, its "
            "videos in the split test"
        )
    store = RecordStore.open(folder.parent, folder.name, "test")
    store.require(method.data.records)
    method.check_far_classes(store.classes, classes, folder)
    _require_sounds(method, store, method.evaluation.drawn.sources, f"--far in {folder}")
    return store
