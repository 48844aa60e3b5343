"""The data of a run: the splits of its set, and the fixed mixtures that it is judged by."""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from data_pipeline.mixture_list import MixtureListSpec
from data_pipeline.records.picture_cache import PictureCache
from mpnet_jax.config import specs
from mpnet_jax.config.specs import Config

# Of every data set that a run is trained on.
_TRAINING_SPLITS = ("train", "validation")
RECORDS = "data.json"  # of a run: which records it is trained on

# TensorFlow and JAX are imported inside functions: a wrong flag is refused before seconds go into them.


def open_splits(config: Config, splits: tuple[str, ...], *, keep_pictures: bool = False) -> dict[str, Any]:
    """Opens splits of the config's data set and refuses a set of other sizes.

    Args:
        config: the run's.
        splits: their names.
        keep_pictures: of "train", once decoded; other splits, and evaluation, read each picture a few times.
    """
    cache = picture_cache(config) if keep_pictures else None
    from data_pipeline.records.store import RecordStore

    stores = {}
    for split in splits:
        kept = cache if split == "train" else None
        store = RecordStore.open(Path(config.data.directory), config.data.name, split, cache=kept)
        store.require(specs.data_set_spec(config))
        if config.method == "miml" and len(store.classes) != config.miml.classes:
            raise InputError(
                f"config.miml.classes={config.miml.classes} must be the data set's number of classes; {store.folder} "
                f"has {len(store.classes)}"
            )
        stores[split] = store
    return stores


def picture_cache(config: Config) -> PictureCache:
    """A cache for decoded training pictures, as the config has it.

    Raises:
        InputError: the folder cannot be used, or the memory is not there.
    """
    gib, folder = config.data.picture_cache_gib, config.data.picture_cache_dir
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    if not folder and gib > memory_gib:
        raise InputError(
            f"config.data.picture_cache_gib={gib:g} is more than this machine's memory of {memory_gib:.0f} GiB; ask "
            "for less, or name a folder on a disk in config.data.picture_cache_dir"
        )
    return PictureCache(int(gib * 2**30), Path(folder) if folder else None)


def refuse_too_few_clips(config: Config, stores: dict[str, Any]) -> None:
    """Raises InputError where a split cannot make a mixture of the run's number of sounds."""
    from data_pipeline.mixing import ClipTable

    audio, mixing = specs.audio_spec(config), config.mixing
    for store in stores.values():
        ClipTable(store.clips, audio, sources=mixing.sources, same_class=mixing.same_class)


def validation_share(config: Config, stores: dict[str, Any], workdir: Path) -> list[Any]:
    """The batches of the fixed validation mixtures, read once for a whole run; of several processes, this one's share.

    Raises:
        InputError: a process finds other data than the first.
    """
    from data_pipeline.loader import Sharding, evaluation_batches
    from mpnet_jax import parallel

    sharding = Sharding(*parallel.process_place())
    if parallel.is_first():
        mixture_list(config, workdir, stores["validation"], "validation")  # drawn and saved
    parallel.wait_for_first()
    mixtures = mixture_list(config, workdir, stores["validation"], "validation")
    _refuse_other_data(config, stores, mixtures)
    return list(
        evaluation_batches(
            stores["validation"],
            mixtures,
            audio=specs.audio_spec(config),
            frames=specs.frame_spec(config),
            batch_size=sharding.rounded_up(config.evaluation.batch_size),
            sharding=sharding,
        )
    )


def training_batches(config: Config, workdir: Path, store: Any) -> Callable[..., Iterator[Any]]:
    """What the training steps of a run are given; of several processes, this one's share.

    Args:
        config: the run's.
        workdir: the run's, where MIML keeps what it makes first, see `miml_stages`.
        store: the training split.

    Returns:
        A function of `first_step` to endless batches from that step on; each is a pure function of config, data and
        its number.

    Raises:
        InputError: MIML's files cannot be read.
    """
    from data_pipeline import loader
    from mpnet_jax import parallel

    batches = functools.partial(
        loader.training_batches,
        store,
        audio=specs.audio_spec(config),
        mixing=specs.mixing_spec(config),
        seed=config.seed,
    )
    sounds = functools.partial(batches, frames=None)
    sounds_and_pictures = functools.partial(batches, frames=specs.frame_spec(config))
    if config.method == "miml":
        from mpnet_jax.methods.miml import stages

        return stages.training_batches(config, workdir, sounds, sounds_and_pictures)
    return functools.partial(
        sounds_and_pictures, batch_size=config.batch_size, sharding=loader.Sharding(*parallel.process_place())
    )


def refuse_processes(config: Config) -> None:
    """Refuses several processes for a method that cannot share its work among them."""
    from mpnet_jax import parallel

    count = parallel.process_place()[1]
    if config.method == "miml" and count > 1:
        raise InputError(f"config.method=miml trains in one process, not in {count}: its steps are small; start one")


def _refuse_other_data(config: Config, stores: dict[str, Any], mixtures: list[Any]) -> None:
    """Refuses a process that would make its share of the mixtures from other records than the first process."""
    from data_pipeline.mixture_list import fingerprint
    from mpnet_jax import parallel

    if not parallel.same_as_first(_records_hash(stores) + fingerprint(stores["validation"], mixtures)):
        raise InputError(
            f"process {parallel.process_place()[0]} finds other data in config.data.directory={config.data.directory} "
            "than the first process; let all read one shared folder, or copies of one"
        )


def mixture_list(config: Config, workdir: Path, store: Any, split: str, sources: int | None = None) -> list[Any]:
    """The workdir's fixed list of mixtures of a split, drawn at its first use; of `sources` sounds, or the run's."""
    spec = specs.mixture_list_spec(config, split, sources)
    return named_list(config, workdir, store, spec, f"{split}_mix{spec.sources}")


def named_list(config: Config, workdir: Path, store: Any, spec: MixtureListSpec, name: str) -> list[Any]:
    """A fixed list of mixtures under its own name, drawn at its first use."""
    from data_pipeline.mixture_list import load_or_draw

    return load_or_draw(workdir / "mixtures" / f"{name}.json", store, specs.audio_spec(config), spec)


def data_fingerprint(config: Config) -> str:
    """A hash of which records the run was trained and validated on; the same on all machines, see `outline`."""
    return _records_hash(open_splits(config, _TRAINING_SPLITS))


def note_records(config: Config, workdir: Path, stores: dict[str, Any]) -> None:
    """Writes the name and the hash of the training data into a run's folder, or holds them against what is there.

    Raises:
        InputError: the run was begun with other records.
    """
    path = workdir / RECORDS
    facts = {"name": config.data.name, "sha256": _records_hash(stores)}
    if not path.is_file():
        write_atomically(path, json.dumps(facts) + "\n")
    elif json.loads(path.read_text())["sha256"] != facts["sha256"]:
        raise InputError(
            f"--workdir={workdir} holds a run on other records of {config.data.name}; prepare the data set as it was, "
            "or choose another --workdir"
        )


def _records_hash(stores: dict[str, Any]) -> str:
    from data_pipeline.mixture_list import record_outlines

    facts = {split: record_outlines(store, range(len(store))) for split, store in stores.items()}
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
