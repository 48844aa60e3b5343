"""What an evaluation was asked for, refused at once where it cannot be done: before anything slow, and whole."""

import dataclasses
from pathlib import Path

from data_pipeline.command import InputError
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import DataSetSpec
from mpnet_jax.config.specs import Config, data_set_spec
from mpnet_jax.run.data import open_splits

_MOST_SOUNDS = 8


@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
    """What to evaluate.

    Attributes:
        split: "train", "validation" or "test".
        checkpoint: "best" (by validation: of MP-Net, with the M-Net alone beside it, where both were trained) or
            "latest".
        mixes: numbers of sounds to test on beside the run's own.
        counting: count sounds among silent clips, in both ways of looking.
        localisation: look for the sounding player.
        far: separate mixtures of a data set far from what was trained on.
    """

    split: str
    checkpoint: str = "best"
    mixes: tuple[int, ...] = ()
    counting: bool = False
    localisation: bool = False
    far: bool = False


def sounds_asked(given: list[str]) -> tuple[int, ...]:
    """The numbers of sounds of `--mix`, rising.

    Raises:
        InputError: something else than numbers from 2 to `_MOST_SOUNDS`; a single sound is no mixture.
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


def open_stores(config: Config, asked: EvaluationOptions) -> dict[str, RecordStore]:
    """Opens every data set that will be needed.

    Args:
        config: the run's.
        asked: what for.

    Returns:
        `asked.split`, and where they are needed "validation", "places" and "far".

    Raises:
        InputError: what was asked does not fit the method, the split or the data.
    """
    if config.method != "mpnet" and (asked.counting or asked.localisation):
        flag = "--counting" if asked.counting else "--localisation"
        raise InputError(f"{flag} needs the recursion, and config.method={config.method} has none; leave it out")
    if asked.counting and asked.split == "validation":
        raise InputError(
            "--counting chooses epsilon on the validation split and cannot report on it; take --split=test"
        )
    if asked.localisation and asked.split != "test":
        raise InputError(f"--localisation has scenes for the test split alone, not for --split={asked.split}")
    if asked.far and asked.split != "test":
        raise InputError(f"--far is a test set, not for --split={asked.split}; leave it out, or take --split=test")
    splits = dict.fromkeys((asked.split, "validation") if asked.counting else (asked.split,))
    stores = open_splits(config, tuple(splits))
    for split, store in stores.items():
        if asked.mixes:
            _require_sounds(config, store, asked.mixes[-1], f"--mix={asked.mixes[-1]} on {split}")
        if asked.counting:
            clips = config.evaluation.counting.clips
            _require_sounds(config, store, clips, f"config.evaluation.counting.clips={clips} on {split}")
    if asked.localisation:
        stores["places"] = _open_places(config)
    if asked.far:
        stores["far"] = _open_far(config, stores[asked.split].classes)
    return stores


def _require_sounds(config: Config, store: RecordStore, sounds: int, what: str) -> None:
    long_enough = [clip for clip in store.clips if clip.samples >= config.audio.clip_samples]
    same = config.mixing.same_class
    there = len({clip.video_id for clip in long_enough} if same else {clip.label for clip in long_enough})
    if there < sounds:
        kind = "videos" if same else "classes"
        raise InputError(f"{what} needs {sounds} {kind} that are long enough, the split has {there}; ask for fewer")


def _open_places(config: Config) -> RecordStore:
    """The data set of scenes, whose boxes are known."""
    asked = config.evaluation.places
    folder = Path(config.data.directory)
    if not (folder / asked.name).is_dir():
        raise InputError(
            f"--localisation needs the data set {folder / asked.name} (config.evaluation.places.name); "
            "`make quickstart-report` renders and prepares one, docs/METRICS.md says how"
        )
    store = RecordStore.open(folder, asked.name, "test")
    store.require(DataSetSpec(config.audio.rate_hz, config.data.fps, asked.frame_px, chunk_seconds=0.0))
    _require_sounds(config, store, 2, f"--localisation in {folder / asked.name}")
    return store


def _open_far(config: Config, classes: tuple[str, ...]) -> RecordStore:
    """The data set far from what was trained on."""
    folder = Path(config.data.directory) / config.evaluation.far.name
    if not folder.is_dir():
        raise InputError(
            f"--far needs the data set {folder} (config.evaluation.far.name); prepare one of the same sizes, its "
            "videos in the split test"
        )
    store = RecordStore.open(folder.parent, folder.name, "test")
    store.require(data_set_spec(config))
    if config.method == "miml" and store.classes != classes:
        raise InputError(
            f"--far in {folder} has the classes {', '.join(store.classes)}; MIML knows the classes "
            f"{', '.join(classes)} alone: prepare a set of these, or leave --far out"
        )
    _require_sounds(config, store, config.mixing.sources, f"--far in {folder}")
    return store
