"""The data of a run: the splits of its data set and its fixed mixtures."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from data_pipeline.mixture_list import MixtureListSpec
from data_pipeline.records.picture_cache import PictureCache
from data_pipeline.spec import AudioSpec
from mpnet_jax.config.specs import DataSpec, EvaluationSpec

TRAINING_SPLITS = ("train", "validation")
RECORDS = "data.json"  # file in the workdir with name and hash of the training data

# TensorFlow and JAX are imported inside functions, so that a wrong flag is refused before they are loaded.


def open_splits(data: DataSpec, splits: tuple[str, ...], *, keep_pictures: bool = False) -> dict[str, Any]:
    """Opens splits of a data set.

    Args:
        data: The data set of the run.
        splits: Names of the splits.
        keep_pictures: Whether to keep decoded frames of "train". Other splits read each frame only a few times.

    Returns:
        The `RecordStore` of each split.

    Raises:
        InputError: There is no such data set, or it was prepared with other sizes.
    """
    cache = picture_cache(data) if keep_pictures else None
    from data_pipeline.records.store import RecordStore

    stores = {}
    for split in splits:
        store = RecordStore.open(data.directory, data.name, split, cache=cache if split == "train" else None)
        store.require(data.records)
        stores[split] = store
    return stores


def picture_cache(data: DataSpec) -> PictureCache:
    """Returns a cache for decoded training frames.

    Raises:
        InputError: The folder cannot be used, or the machine has less memory.
    """
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    if not data.cache_dir and data.cache_gib > memory_gib:
        raise InputError(
            f"config.data.picture_cache_gib={data.cache_gib:g} is more than this machine's memory of "
            f"{memory_gib:.0f} GiB; ask for less, or name a folder on a disk in config.data.picture_cache_dir"
        )
    return PictureCache(int(data.cache_gib * 2**30), Path(data.cache_dir) if data.cache_dir else None)


def refuse_too_few_clips(data: DataSpec, stores: dict[str, Any]) -> None:
    """Raises InputError where a split cannot make a mixture of the run's number of sounds."""
    from data_pipeline.mixing import ClipTable

    for store in stores.values():
        ClipTable(store.clips, data.audio, sources=data.mixing.sources, same_class=data.mixing.same_class)


def validation_share(data: DataSpec, evaluation: EvaluationSpec, stores: dict[str, Any], workdir: Path) -> list[Any]:
    """Reads this process's share of the batches of the fixed validation mixtures.

    Raises:
        InputError: This process reads other data than the first process.
    """
    from data_pipeline.loader import Sharding, evaluation_batches
    from mpnet_jax import parallel

    sharding, spec = Sharding(*parallel.process_place()), evaluation.list_spec("validation")
    if parallel.is_first():
        split_list(data.audio, workdir, stores["validation"], spec, "validation")  # draws and saves the list
    parallel.wait_for_first()
    mixtures = split_list(data.audio, workdir, stores["validation"], spec, "validation")
    _refuse_other_data(data, stores, mixtures)
    return list(
        evaluation_batches(
            stores["validation"],
            mixtures,
            audio=data.audio,
            frames=data.frames,
            batch_size=sharding.rounded_up(evaluation.batch_size),
            sharding=sharding,
        )
    )


def _refuse_other_data(data: DataSpec, stores: dict[str, Any], mixtures: list[Any]) -> None:
    """Raises InputError where this process reads other records than the first process."""
    from data_pipeline.mixture_list import fingerprint
    from mpnet_jax import parallel

    if not parallel.same_as_first(_records_hash(stores) + fingerprint(stores["validation"], mixtures)):
        raise InputError(
            f"process {parallel.process_place()[0]} finds other data in config.data.directory={data.directory} "
            "than the first process; let all read one shared folder, or copies of one"
        )


def split_list(audio: AudioSpec, workdir: Path, store: Any, spec: MixtureListSpec, split: str) -> list[Any]:
    """Returns the workdir's fixed list of mixtures of a split; see `named_list`."""
    return named_list(audio, workdir, store, spec, f"{split}_mix{spec.sources}")


def named_list(audio: AudioSpec, workdir: Path, store: Any, spec: MixtureListSpec, name: str) -> list[Any]:
    """Returns the workdir's fixed list of mixtures with a name; it is drawn and saved at its first use."""
    from data_pipeline.mixture_list import load_or_draw

    return load_or_draw(workdir / "mixtures" / f"{name}.json", store, audio, spec)


def data_fingerprint(data: DataSpec) -> str:
    """Returns a hash of the records that a run is trained and validated on, the same on every machine."""
    return _records_hash(open_splits(data, TRAINING_SPLITS))


def note_records(data: DataSpec, workdir: Path, stores: dict[str, Any]) -> None:
    """Writes the name and hash of the training data into a workdir, or compares them with what it holds.

    Raises:
        InputError: The run was started with other records.
    """
    path = workdir / RECORDS
    facts = {"name": data.name, "sha256": _records_hash(stores)}
    if not path.is_file():
        write_atomically(path, json.dumps(facts) + "\n")
    elif json.loads(path.read_text(encoding="utf-8"))["sha256"] != facts["sha256"]:
        raise InputError(
            f"--workdir={workdir} holds a run on other records of {data.name}; prepare the data set as it was, "
            "or choose another --workdir"
        )


def _records_hash(stores: dict[str, Any]) -> str:
    from data_pipeline.mixture_list import record_outlines

    facts = {split: record_outlines(store, range(len(store))) for split, store in stores.items()}
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
